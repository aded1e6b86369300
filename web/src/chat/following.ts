// Whether the transcript follows an answer that grows: any way up lets go of it, at no distance; the
// way down to the end, or a button, takes hold again.
//
// Source: ChatGPTNextWeb/NextChat#4019, nesquena/hermes-webui#1731, assistant-ui/assistant-ui#5970.

export const REATTACH_PX = 32;

export interface Extent {
  readonly top: number;
  readonly height: number;
  readonly visible: number;
}

export class Following {
  isOn = true;
  #top = 0;

  /** Takes a scroll, whoever made it. */
  scrolled({ top, height, visible }: Extent): boolean {
    const left = height - visible - top;
    if (top < this.#top && left > 1) this.isOn = false;
    else if (top > this.#top && left <= REATTACH_PX) this.isOn = true;
    this.#top = top;
    return this.isOn;
  }

  /** Takes what somebody does to go up, before anything has moved. */
  meantUp(canMove: boolean): boolean {
    if (canMove) this.isOn = false;
    return this.isOn;
  }

  /** Takes hold again; `top` is where the end is now. */
  attach(top: number): void {
    this.isOn = true;
    this.#top = top;
  }
}
