// What forms say of addresses and passwords before the server does. The server decides; what is
// refused here, it would refuse as well.

import { Problem } from "../../shared/api.js";
import { t } from "./texts.js";

const PASSWORD_CHARACTERS_MIN = 10;

export function emailFault(email: string): { email?: string } {
  return /^\S+@\S+\.\S+$/.test(email.trim()) ? {} : { email: t.value.emailWrong };
}

export function passwordFault(password: string): { password?: string } {
  // Counted as the server does: Hangul may come from the keyboard in parts.
  return [...password.normalize("NFC")].length >= PASSWORD_CHARACTERS_MIN ? {} : { password: t.value.passwordShort };
}

/** Sends, and gives the server's refusal of a password words of its own. */
export function withWords<V>(send: (values: V) => Promise<void>): (values: V) => Promise<void> {
  return async (values) => {
    try {
      await send(values);
    } catch (reason) {
      if (!(reason instanceof Problem) || reason.code !== "invalid_value") throw reason;
      const words = reason.param === "email" ? t.value.emailWrong : t.value.passwordWeak;
      throw new Problem(reason.status, reason.code, words, reason.param, reason.requestId);
    }
  };
}
