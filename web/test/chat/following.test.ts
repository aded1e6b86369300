import { describe, expect, test } from "vitest";
import { Following, REATTACH_PX } from "../../src/chat/following.js";

const at = (top: number, height = 1000) => ({ top, height, visible: 400 });

describe("the transcript", () => {
  test("follows at first, and while it grows", () => {
    const following = new Following();
    following.attach(600);
    expect(following.scrolled(at(600))).toBe(true);
    following.attach(5000); // a burst of growth, and the jump to its end
    expect(following.scrolled(at(5000, 5400))).toBe(true);
  });

  test("a burst that has not been followed yet does not let go", () => {
    const following = new Following();
    following.attach(600);
    expect(following.scrolled(at(600, 9000))).toBe(true);
  });

  test.each([2, 10, 31, 40, 300])("%i px up let go", (distance) => {
    const following = new Following();
    following.attach(600);
    expect(following.scrolled(at(600 - distance))).toBe(false);
    // And nothing drags back while it grows.
    expect(following.scrolled(at(600 - distance, 3000))).toBe(false);
  });

  test("intent alone lets go, if there is a way up", () => {
    const following = new Following();
    expect(following.meantUp(false)).toBe(true);
    expect(following.meantUp(true)).toBe(false);
  });

  test("the way down takes hold within the last pixels, the way up never", () => {
    const following = new Following();
    following.attach(600);
    following.scrolled(at(400));
    expect(following.scrolled(at(600 - REATTACH_PX - 1))).toBe(false);
    expect(following.scrolled(at(600 - REATTACH_PX))).toBe(true);
    following.scrolled(at(500));
    expect(following.scrolled(at(490))).toBe(false);
  });

  test("the button takes hold", () => {
    const following = new Following();
    following.attach(600);
    following.scrolled(at(100));
    following.attach(600);
    expect(following.isOn).toBe(true);
  });
});
