import { describe, expect, test } from "vitest";
import { csvOf } from "../src/console/csv.js";
import type { Options } from "../src/console/credit/order.js";
import { currenciesOf, mayBePaid, shownState } from "../src/console/credit/order.js";
import { limitHint, limitWords } from "../src/console/keys/limit_words.js";
import type { Key } from "../src/console/keys/terms.js";
import { bodyOf, changeOf, faultsOf, NO_TERMS, stateOf, termsOf } from "../src/console/keys/terms.js";
import { linkOf } from "../src/console/login/mail_link.js";
import { emailFault, passwordFault } from "../src/console/login/rules.js";
import { SNIPPET_LANGUAGES, snippet } from "../src/console/overview/snippets.js";
import { language } from "../src/shared/language.js";
import { withQuery } from "../src/console/query.js";
import { barsOf, csvPath, filterOf } from "../src/console/requests/request.js";
import type { Try } from "../src/console/requests/request.js";

const KEY: Key = {
  public_id: "abc",
  name: "Web",
  budget: null,
  models: null,
  expires_at: null,
  requests_per_minute: null,
  tokens_per_minute: null,
  streams_max: null,
  operator_limits: { requests_per_minute: null, tokens_per_minute: null, streams_max: null },
  effective_limits: { requests_per_minute: 60, tokens_per_minute: 0, streams_max: 0 },
  created: 1,
  revoked: null,
  last_used: null,
  spent: "0.00",
};

describe("addresses", () => {
  test("what is empty is left out, the rest is encoded", () => {
    expect(withQuery("/x", {})).toBe("/x");
    expect(withQuery("/x", { a: "", b: undefined, c: "p/m&1 가" })).toBe("/x?c=p%2Fm%261+%EA%B0%80");
  });

  test("filters of requests: a status that there is none of is none", () => {
    expect(filterOf({ status: "failed", model: "m", chart: "x" }, "2026-11-01", "2026-11-02")).toEqual({
      status: "failed",
      model: "m",
      key: undefined,
      from: "2026-11-01",
      to: "2026-11-02",
    });
    expect(csvPath(filterOf({ status: "x" }, "a", "b"))).toBe("/api/requests.csv?from=a&to=b");
  });

  test.each([
    ["#verify=tr_aB-9", { kind: "verify", token: "tr_aB-9" }],
    ["#reset=tr_x", { kind: "reset", token: "tr_x" }],
    ["", null],
    ["#verify=", null],
    ["#other=tr_x", null],
    ["#verify=tr_x&more", null],
  ])("the link %j", (hash, link) => expect(linkOf(hash)).toEqual(link));
});

test("a CSV file: quotes, no formulas, numbers as they are", () => {
  const text = csvOf(
    ["a", "b"],
    [
      ["=1+1", -2],
      ["-3.50", null],
      ['say "hi", 가', "-x"],
    ],
  );
  expect(text).toBe('\ufeffa,b\r\n\'=1+1,-2\r\n-3.50,\r\n"say ""hi"", 가",\'-x\r\n');
});

describe("an order of credit", () => {
  const DUE = 1_000;
  test.each([
    ["open", true, "open", "expired"],
    ["failed", true, "failed", "failed"],
    ["waiting", false, "waiting", "waiting"],
    ["paid", false, "paid", "paid"],
    ["expired", false, "expired", "expired"],
  ] as const)("%s: is it to be paid, and what is it called, in time and after", (state, payable, before, after) => {
    const order = { state, expires: DUE };
    expect(mayBePaid(order, DUE * 1000 - 1)).toBe(payable);
    expect(mayBePaid(order, DUE * 1000)).toBe(false);
    expect(shownState(order, DUE * 1000 - 1)).toBe(before);
    expect(shownState(order, DUE * 1000)).toBe(after);
  });
});

describe("a key's terms", () => {
  test("there and back", () => {
    const key = { ...KEY, budget: "20.00", models: ["m", "n/o"], requests_per_minute: 5, expires_at: 1_900_000_000 };
    const body = bodyOf(termsOf(key));
    expect(body).toMatchObject({ name: "Web", budget: "20.00", models: ["m", "n/o"], requests_per_minute: 5 });
    // The end of the same day, in whatever zone this runs.
    const day = (seconds: number): string => new Date(seconds * 1000).toDateString();
    expect(day(body["expires_at"] as number)).toBe(day(1_900_000_000));
    expect(body).toMatchObject({ tokens_per_minute: null, streams_max: null });
  });

  test("only what changed is sent", () => {
    const key = { ...KEY, streams_max: 4 };
    expect(changeOf(key, termsOf(key))).toEqual({});
    expect(changeOf(key, { ...termsOf(key), streams_max: "", budget: "1.5" })).toEqual({
      streams_max: null,
      budget: "1.5",
    });
  });

  test.each([
    [{ name: " " }, ["name"]],
    [{ budget: "ten" }, ["budget"]],
    [{ budget: "-1" }, ["budget"]],
    [{ requests_per_minute: "0" }, ["requests_per_minute"]],
    [{ streams_max: "1.5" }, ["streams_max"]],
    [{ expires_at: "2020-01-01" }, ["expires_at"]],
    [{ expires_at: "nonsense" }, ["expires_at"]],
    [{ budget: "10.00", tokens_per_minute: "1000", expires_at: "2099-12-31" }, []],
  ])("%j", (changes, names) => {
    expect(Object.keys(faultsOf({ ...NO_TERMS, name: "Web", ...changes }))).toEqual(names);
  });

  test.each([
    [{}, "active"],
    [{ revoked: 5 }, "revoked"],
    [{ expires_at: 10 }, "expired"],
    [{ expires_at: 11 }, "active"],
    [{ expires_at: 10, revoked: 9 }, "revoked"],
  ])("%j is %s at ten seconds", (changes, state) => expect(stateOf({ ...KEY, ...changes }, 10_000)).toBe(state));
});

describe("a limit of a key says whose it is, and why a number has no effect", () => {
  const AS_A_RULE = 60;
  test.each([
    [null, null, AS_A_RULE, null, null],
    [10, null, 10, "10 requests/min", "분당 요청 10건"],
    [
      100,
      null,
      AS_A_RULE,
      "60 requests/min (as keys have as a rule, your 100 has no effect)",
      "분당 요청 60건(기본값, 내 설정 100: 적용 안 됨)",
    ],
    [null, 600, 600, "600 requests/min (set by the operator)", "분당 요청 600건(운영자 지정)"],
    [600, 600, 600, "600 requests/min (set by the operator)", "분당 요청 600건(운영자 지정)"],
    [300, 600, 300, "300 requests/min (the operator allows 600)", "분당 요청 300건(운영자 지정 한도: 600)"],
    [
      10,
      5,
      5,
      "5 requests/min (set by the operator, your 10 has no effect)",
      "분당 요청 5건(운영자 지정, 내 설정 10: 적용 안 됨)",
    ],
    [null, 0, 0, "any number of requests/min (set by the operator)", "분당 요청 제한 없음(운영자 지정)"],
    [90, 0, 90, "90 requests/min (the operator allows any number)", "분당 요청 90건(운영자 지정 한도: 제한 없음)"],
  ])("its owner's %j, the operator's %j: %j", (own, operator, holds, english, korean) => {
    const key = {
      ...KEY,
      requests_per_minute: own,
      operator_limits: { ...KEY.operator_limits, requests_per_minute: operator },
      effective_limits: { ...KEY.effective_limits, requests_per_minute: holds },
    };
    language.value = "en";
    expect(limitWords(key, "requests_per_minute")).toBe(english);
    language.value = "ko";
    expect(limitWords(key, "requests_per_minute")).toBe(korean);
    language.value = "en";
  });

  test.each([
    [null, /^Empty: what keys have as a rule/],
    [0, /^Set by the operator: no limit/],
    [5000, /^Set by the operator: 5,000\. Only a lower number/],
  ])("below its field, where the operator has set %j", (operator, words) => {
    const key = { ...KEY, operator_limits: { ...KEY.operator_limits, tokens_per_minute: operator } };
    expect(limitHint(key, "tokens_per_minute")).toMatch(words);
    expect(limitHint(key, "streams_max")).toBe(limitHint(null, "streams_max"));
  });
});

test("addresses and passwords that are refused before the server sees them", () => {
  expect(emailFault("kim@example.kr")).toEqual({});
  expect(emailFault("kim@example")).toHaveProperty("email");
  expect(emailFault("")).toHaveProperty("email");
  expect(passwordFault("가나다라마바사아자차")).toEqual({});
  expect(passwordFault("가나다라마바사아자차".normalize("NFD").slice(0, 18))).toHaveProperty("password");
  expect(passwordFault("123456789")).toHaveProperty("password");
});

test("currencies that somebody takes, the page's own first", () => {
  const options: Options = {
    providers: [{ name: "toss", currencies: ["KRW"], live: true }],
    packages: [
      { id: "a", currency: "USD", amount: "5.00", credit: "5.00" },
      { id: "b", currency: "KRW", amount: "10000", credit: "6.89" },
    ],
  };
  expect(currenciesOf(options, "USD")).toEqual(["KRW"]);
  const both = { ...options, providers: [{ name: "stripe", currencies: ["KRW", "USD"], live: true }] };
  expect(currenciesOf(both, "USD")).toEqual(["USD", "KRW"]);
  expect(currenciesOf(both, "KRW")).toEqual(["KRW", "USD"]);
  expect(currenciesOf({ ...options, providers: [] }, "KRW")).toEqual([]);
});

describe("calls of providers in time", () => {
  const call = (outcome: string, duration_ms: number): Try => ({
    provider: "p",
    model: "m",
    outcome,
    duration_ms,
    status: null,
  });

  test("one after the other, after the wait", () => {
    expect(barsOf([call("provider_timeout", 100), call("ok", 300)], 50, 460)).toEqual([
      { fromMs: 50, untilMs: 150 },
      { fromMs: 150, untilMs: 450 },
    ]);
  });

  test("one that was slower ran beside the next, and none ends after the request", () => {
    expect(barsOf([call("slower", 500), call("ok", 400)], 0, 600)).toEqual([
      { fromMs: 0, untilMs: 500 },
      { fromMs: 0, untilMs: 400 },
    ]);
    expect(barsOf([call("ok", 900)], 700, 600)).toEqual([{ fromMs: 0, untilMs: 600 }]);
    expect(barsOf([call("ok", 500)], 700, 600)).toEqual([{ fromMs: 100, untilMs: 600 }]);
    expect(barsOf([], 0, 0)).toEqual([]);
  });
});

test.each(SNIPPET_LANGUAGES)("%s: texts cannot end the literals in which they stand", (kind) => {
  const code = snippet(kind, "https://x/v1", `m"'\\`, "It's 가");
  expect(code).toContain("https://x/v1");
  expect(code).toContain(kind === "curl" ? `"m\\"'\\''\\\\"` : `"m\\"'\\\\"`);
});
