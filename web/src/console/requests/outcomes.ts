// How calls of providers end, in words. A kind of error that has none here is shown as it is.

import { language } from "../../shared/language.js";

const WORDS: Readonly<Record<string, readonly [english: string, korean: string]>> = {
  ok: ["Answered", "응답 완료"],
  cancelled: ["Cancelled", "취소됨"],
  slower: ["Another was faster", "다른 시도가 더 빨랐음"],
  provider_timeout: ["The provider was silent for too long", "공급자 응답 시간 초과"],
  provider_unreachable: ["The provider could not be reached", "공급자에 연결하지 못함"],
  provider_cut_off: ["The answer was cut off", "답변이 중간에 끊김"],
  provider_invalid_response: ["The provider's answer could not be read", "공급자 응답을 해석하지 못함"],
  provider_event_too_large: ["The provider's answer could not be read", "공급자 응답을 해석하지 못함"],
  provider_auth_failed: ["The provider refused the operator's key", "공급자가 운영자 키를 거부함"],
  provider_quota_exhausted: ["The operator's credit at the provider is used up", "공급자에 남은 운영자 크레딧 없음"],
  provider_error: ["The provider reported an error", "공급자 오류"],
  queue_full: ["Too many were waiting", "대기 요청이 너무 많음"],
  queue_timeout: ["Waited for too long", "대기 시간 초과"],
  upstream_lost: ["The gateway was restarted", "게이트웨이 재시작"],
  credit_used_up: ["The balance was used up", "잔액 소진"],
  insufficient_credit: ["The balance was too low", "잔액 부족"],
  budget_exceeded: ["The key's budget was used up", "키 예산 초과"],
  rate_limit_exceeded: ["Too many requests", "요청 한도 초과"],
  model_not_found: ["There is no such model", "없는 모델"],
};

export function outcomeName(outcome: string): string {
  const known = WORDS[outcome];
  if (known !== undefined) return known[language.value === "ko" ? 1 : 0];
  const rejected = /^provider_http_(\d+)$/.exec(outcome);
  if (rejected === null) return outcome;
  return language.value === "ko" ? `공급자가 거부함(${rejected[1]})` : `Refused by the provider (${rejected[1]})`;
}
