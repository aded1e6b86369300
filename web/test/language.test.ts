import { expect, test } from "vitest";
import { language, texts } from "../src/shared/language.js";

test("a dictionary follows the language", () => {
  const t = texts({ send: "Send" }, { send: "보내기" });
  expect(t.value.send).toBe("Send");
  language.value = "ko";
  expect(t.value.send).toBe("보내기");
  language.value = "en";
});
