// What administrators see, in the order of the navigation.

import type { ConsolePage } from "../console_page.js";

export const ADMIN_PAGES: readonly ConsolePage[] = [];
