// The built modules: those of dist/, or of where TOKENFERRY_DIST says.

import { pathToFileURL } from "node:url";

const built = process.env.TOKENFERRY_DIST;
const dist = built ? pathToFileURL(`${built}/`) : new URL("../dist/", import.meta.url);

/** Imports a module of the build. */
export const load = (name) => import(new URL(`${name}.js`, dist));
