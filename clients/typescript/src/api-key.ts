// The form of an API key, `tf_<public id>_<secret>_<checksum>`: looked at before anything is sent.
//
// Source: spec/vectors/api_key.json; src/tokenferry/domain/api_key.py. The checksum is the CRC-32
// (ISO 3309) of everything before the last underscore, in six digits of base 62.

import { InvalidKeyError } from "./errors.js";

const FORM = /^(tf_[0-9A-Za-z]{12}_[0-9A-Za-z]{32})_([0-9A-Za-z]{6})$/;
const CHECKSUM_CHARACTERS = 6;
// The CRC's polynomial, its bits reversed.
const POLYNOMIAL = 0xedb88320;

/** Returns what is wrong with a key, null if it has the form of one. It repeats nothing of it. */
export function keyFault(key: string): string | null {
  if (key === "") return "it is empty";
  if (/^\s|\s$/.test(key)) return "there are blanks around it";
  if (!key.startsWith("tf_")) {
    return "it does not begin with `tf_`; a provider's own key is not accepted here";
  }
  const match = FORM.exec(key);
  if (!match) return "it does not have the form tf_ID_SECRET_CHECKSUM; was it cut?";
  return checksum(match[1] ?? "") === match[2] ? null : "its checksum is wrong; was it mistyped?";
}

/** Throws an `InvalidKeyError` unless the key has the form of one. */
export function requireKey(key: string): void {
  const fault = keyFault(key);
  if (fault !== null)
    throw new InvalidKeyError(`The API key cannot be right: ${fault}. Copy it again.`);
}

function checksum(text: string): string {
  let crc = -1;
  for (const character of text) {
    crc ^= character.charCodeAt(0); // the form above lets ASCII through alone
    for (let bit = 0; bit < 8; bit++) crc = (crc >>> 1) ^ (crc & 1 ? POLYNOMIAL : 0);
  }
  let rest = ~crc >>> 0;
  let digits = "";
  for (let place = 0; place < CHECKSUM_CHARACTERS; place++) {
    const digit = rest % 62; // 0 to 9, A to Z, a to z
    digits = String.fromCharCode(digit + (digit < 10 ? 48 : digit < 36 ? 55 : 61)) + digits;
    rest = Math.floor(rest / 62);
  }
  return digits;
}
