// Prints how many bytes a page pays for streams: the entry for pages as a bundler leaves it, compressed.
//   node size.js DIST_DIRECTORY

import { gzipSync } from "node:zlib";

import { build } from "esbuild";

const dist = process.argv[2] ?? new URL("../dist", import.meta.url).pathname;
const { outputFiles } = await build({
  stdin: {
    contents: 'import { Tokenferry } from "./browser.js"; globalThis.client = new Tokenferry();',
    resolveDir: dist,
  },
  bundle: true,
  minify: true,
  format: "esm",
  target: "es2022",
  write: false,
});
console.log(gzipSync(outputFiles[0].contents, { level: 9 }).length);
