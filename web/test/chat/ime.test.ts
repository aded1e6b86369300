import { describe, expect, test } from "vitest";
import { ECHO_MS, EnterKey, type Key } from "../../src/chat/ime.js";

const key = (changes: Partial<Key> = {}): Key => ({
  key: "Enter",
  code: "Enter",
  keyCode: 13,
  isComposing: false,
  shiftKey: false,
  ctrlKey: false,
  altKey: false,
  metaKey: false,
  ...changes,
});
const composing = key({ key: "Process", keyCode: 229, isComposing: true });

/** Composes a text, syllable by syllable. */
function compose(enter: EnterKey, text: string): void {
  enter.begun();
  for (let end = 1; end <= text.length; end++) enter.updated(text.slice(0, end));
}

describe("Hangul", () => {
  test.each(["안녕하세요", "ㅋ", "abc한"])("one Enter while %s is composed sends once, at the end", (text) => {
    const enter = new EnterKey(false);
    compose(enter, text);
    expect(enter.pressed(composing, 0)).toBe("pass");
    expect(enter.ended(text, 5)).toBe("send-soon");
    // Chrome on Windows reports the key once more, without a composition.
    expect(enter.pressed(key(), 6)).toBe("swallow");
    expect(enter.isEcho("insertLineBreak", 6)).toBe(true);
    expect(enter.isEcho("insertParagraph", 5 + ECHO_MS - 1)).toBe(true);
    expect(enter.isEcho("insertText", 6)).toBe(false);
    // After the echo Enter is itself again.
    expect(enter.isEcho("insertLineBreak", 5 + ECHO_MS)).toBe(false);
    expect(enter.pressed(key(), 5 + ECHO_MS)).toBe("send");
  });

  test("Safari reports the end first, and the key with 229", () => {
    const enter = new EnterKey(false);
    compose(enter, "안녕");
    expect(enter.ended("안녕", 0)).toBe("pass");
    expect(enter.pressed(key({ keyCode: 229 }), 1)).toBe("send-soon");
    expect(enter.pressed(key({ keyCode: 229 }), 2)).toBe("swallow");
  });

  test("a composition that ends by itself sends nothing", () => {
    const enter = new EnterKey(false);
    compose(enter, "안녕");
    expect(enter.ended("안녕", 0)).toBe("pass");
  });

  test("another key after Enter takes it back", () => {
    const enter = new EnterKey(false);
    compose(enter, "안녕");
    enter.pressed(composing, 0);
    enter.pressed(key({ key: "a", code: "KeyA", isComposing: true }), 1);
    expect(enter.ended("안녕", 2)).toBe("pass");
  });
});

describe("other scripts", () => {
  test.each(["こんにちは", "你好", "한자漢"])("Enter only ends the composition of %s", (text) => {
    const enter = new EnterKey(false);
    compose(enter, text);
    expect(enter.pressed(composing, 0)).toBe("pass");
    expect(enter.ended(text, 1)).toBe("pass");
    expect(enter.pressed(key({ keyCode: 229 }), 2)).toBe("swallow"); // Safari
    expect(enter.pressed(key(), 3)).toBe("send");
  });
});

describe("no composition", () => {
  test.each(["shiftKey", "ctrlKey", "altKey", "metaKey"] as const)("with %s Enter is not ours", (modifier) => {
    expect(new EnterKey(false).pressed(key({ [modifier]: true }), 0)).toBe("pass");
  });

  test("other keys pass, Enter of the number pad sends", () => {
    expect(new EnterKey(false).pressed(key({ key: "a", code: "KeyA", keyCode: 65 }), 0)).toBe("pass");
    expect(new EnterKey(false).pressed(key({ code: "NumpadEnter" }), 0)).toBe("send");
  });

  test("with a keyboard on the screen Enter is a new line, also after Hangul", () => {
    const enter = new EnterKey(true);
    expect(enter.pressed(key(), 0)).toBe("pass");
    compose(enter, "안녕");
    enter.pressed(composing, 1);
    expect(enter.ended("안녕", 2)).toBe("pass");
  });
});
