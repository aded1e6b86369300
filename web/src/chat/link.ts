// An address that names a stream: whoever opens it follows that stream, from its beginning.

import { randomId } from "../shared/random.js";
import { type Conversation, type Turn, newTurn } from "./tree.js";

const LINK = /^#follow=(st_\w{1,64})$/;

/** Returns the stream that the address names, and takes its name out of it; null if there is none. */
export function takeLink(): string | null {
  const streamId = LINK.exec(location.hash)?.[1];
  if (streamId === undefined) return null;
  history.replaceState(null, "", location.pathname + location.search);
  return streamId;
}

/** A conversation that consists of one answer, which somebody else has asked for. */
export function followed(streamId: string, owner: string, title: string): [Conversation, Turn] {
  const nowMs = Date.now();
  const id = randomId();
  return [
    { id, owner, title, created: nowMs, updated: nowMs, model: "", choice: {} },
    newTurn("assistant", {
      id: randomId(),
      conversation: id,
      parent: null,
      created: nowMs,
      isFollowed: true,
      saved: { streamId, epoch: 1, seq: 0 },
    }),
  ];
}
