import { fileURLToPath } from "node:url";
import { defineConfig } from "vitest/config";

const here = (path: string): string => fileURLToPath(new URL(path, import.meta.url));

// Two documents, one for each app; what both use ends up in files of its own, which a browser
// keeps. Nothing is inlined, so that the Content-Security-Policy needs no exception.
export default defineConfig({
  base: "/",
  publicDir: false,
  oxc: { jsx: { runtime: "automatic", importSource: "preact" } },
  resolve: {
    alias: { tokenferry: here("../clients/typescript/src/browser.ts") },
  },
  build: {
    outDir: here("../src/tokenferry/server/web"),
    emptyOutDir: true,
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    target: ["chrome111", "edge111", "firefox114", "safari16.4"],
    rolldownOptions: {
      input: { chat: here("chat.html"), console: here("console.html") },
    },
  },
  server: {
    // `npm run dev` beside a running gateway: pages from here, everything else from there.
    proxy: {
      "/v1": { target: "http://127.0.0.1:8000", ws: true },
      "/api": "http://127.0.0.1:8000",
    },
  },
  test: { include: ["test/**/*.test.{ts,tsx}"], environment: "node" },
});
