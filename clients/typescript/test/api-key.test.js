// The form of a key over the vectors that server and clients share.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";

import { load } from "./dist.js";

const { keyFault, requireKey } = await load("api-key");
const { InvalidKeyError } = await load("errors");
const VECTORS = new URL("../../../spec/vectors/api_key.json", import.meta.url);
const { cases } = JSON.parse(readFileSync(VECTORS, "utf8"));

for (const { name, key, valid } of cases) {
  test(name, () => {
    const fault = keyFault(key);
    assert.equal(fault === null, valid, fault);
    if (key.length > 4) assert.ok(!fault?.includes(key), "it repeats the key");
    if (valid) requireKey(key);
    else assert.throws(() => requireKey(key), InvalidKeyError);
  });
}

test("there are vectors of both kinds", () => {
  assert.ok(cases.some(({ valid }) => valid) && cases.some(({ valid }) => !valid));
});

test("every changed character is noticed", () => {
  const { key } = cases.find(({ valid }) => valid);
  for (let at = 0; at < key.length; at++) {
    for (const other of ["0", "Z", "_", "é"]) {
      if (key[at] === other) continue;
      assert.notEqual(
        keyFault(key.slice(0, at) + other + key.slice(at + 1)),
        null,
        `${at}: ${other}`,
      );
    }
  }
});
