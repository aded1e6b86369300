// Writes NAME.br and NAME.gz beside each built file, as small as they get: the server compresses
// nothing while it runs.

import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { brotliCompressSync, constants, gzipSync } from "node:zlib";

const built = fileURLToPath(new URL("../../src/tokenferry/server/web/assets/", import.meta.url));

for (const name of readdirSync(built)) {
  if (name.endsWith(".br") || name.endsWith(".gz")) continue;
  const body = readFileSync(join(built, name));
  const brotli = { params: { [constants.BROTLI_PARAM_SIZE_HINT]: body.length } };
  writeFileSync(join(built, `${name}.br`), brotliCompressSync(body, brotli));
  writeFileSync(join(built, `${name}.gz`), gzipSync(body, { level: 9 }));
}
