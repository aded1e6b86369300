// When to come back after a connection has ended: a table over close codes.
//
// Source: spec/PROTOCOL.md, sections 6 and 8. "Full jitter" is a delay drawn from the whole range
// up to a ceiling that doubles: clients that were cut off together do not come back together.

const DELAY_MS_MIN = 250;
const DELAY_MS_MAX = 30_000;
// The ceiling of the first delay; twice the least one, so that there is something to draw.
const FIRST_CEILING_MS = 500;
// A server that says "back off" is short of something: begin two doublings higher, and never with
// less than half.
const BACK_OFF_DOUBLINGS = 2;
export const RANDOM_RANGE = 2 ** 32;
// The exponent is bounded, because it is the peer who decides how often this is asked.
const DOUBLINGS_MAX = 32;

// The client is at fault, and would be again. RFC 6455, 7.4.1.
const OWN_FAULT: ReadonlySet<number> = new Set([1002, 1003, 1007, 1008, 1009, 1010]);
// A server that is short of something.
export const BACK_OFF = 4100;
// No close frame, RFC 6455, 7.1.5: how a connection counts that the client has given up.
export const ABNORMAL = 1006;
const HEARTBEAT_LOST = 4108;
// In the range of what is final, and a limit like those that are not: some connection ends.
export const TOO_MANY_CONNECTIONS = 4029;

/** Says whether the client must not come back by itself. */
export function isFinal(code: number): boolean {
  return OWN_FAULT.has(code) || (code >= 4000 && code < 4100 && code !== TOO_MANY_CONNECTIONS);
}

/**
 * Returns how long to wait before the next attempt to connect.
 *
 * `code` is that of the last connection, 1006 when there was none; `attempt` says how many have
 * failed since things went well, from 0; `randomBits` are 32.
 */
export function delayMs(code: number, attempt: number, randomBits: number): number {
  // At once, but once: a server that says so for ever is not to be hammered.
  if (code >= 4200 && code < 4300 && attempt === 0) return 0;
  const backsOff = code >= 4100 && code < 4200 && code !== HEARTBEAT_LOST;
  if (backsOff || code === TOO_MANY_CONNECTIONS) {
    const ceiling = ceilingMs(attempt + BACK_OFF_DOUBLINGS);
    return draw(ceiling / 2, ceiling, randomBits);
  }
  return draw(DELAY_MS_MIN, ceilingMs(attempt), randomBits);
}

function ceilingMs(doublings: number): number {
  return Math.min(DELAY_MS_MAX, FIRST_CEILING_MS * 2 ** Math.min(doublings, DOUBLINGS_MAX));
}

function draw(lowMs: number, highMs: number, randomBits: number): number {
  return lowMs + Math.floor(((highMs - lowMs) * randomBits) / RANDOM_RANGE);
}
