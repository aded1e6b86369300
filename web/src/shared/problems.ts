// What people are told of a problem: what has happened, and what they can do. Problems that have
// no words here are told in the server's own.

import type { Problem } from "./api.js";
import { duration } from "./format.js";
import { language } from "./language.js";

type Words = Readonly<Record<string, readonly [english: string, korean: string]>>;

const WORDS: Words = {
  unreachable: [
    "The server cannot be reached. Check your connection and try again.",
    "서버에 연결할 수 없습니다. 네트워크를 확인하고 다시 시도해 주세요.",
  ],
  login_required: ["Please log in again. Your draft is kept.", "다시 로그인해 주세요. 작성 중인 내용은 보관됩니다."],
  wrong_credentials: ["The e-mail address or the password is wrong.", "이메일 주소 또는 비밀번호가 올바르지 않습니다."],
  account_suspended: [
    "This account is suspended. Ask the operator of this gateway.",
    "정지된 계정입니다. 운영자에게 문의해 주세요.",
  ],
  admin_only: ["Only administrators of this gateway may do this.", "이 게이트웨이의 관리자만 할 수 있습니다."],
  email_not_verified: [
    "Open the link in the mail that came after the sign-up first.",
    "가입 후 받은 메일의 링크를 먼저 열어 주세요.",
  ],
  email_taken: [
    "There is an account with this address already. Log in, or have a new password sent.",
    "이미 가입된 이메일 주소입니다. 로그인하거나 비밀번호를 재설정해 주세요.",
  ],
  signup_closed: [
    "Nobody can sign up here: the operator of this gateway makes the accounts.",
    "직접 가입할 수 없습니다. 계정은 이 게이트웨이의 운영자가 만듭니다.",
  ],
  invalid_link: [
    "The link is unknown, used, replaced by a newer one, or expired. Have another one sent.",
    "알 수 없거나, 이미 사용했거나, 새 링크로 바뀌었거나, 만료된 링크입니다. 링크를 다시 요청해 주세요.",
  ],
  key_not_found: ["There is no such key.", "키를 찾을 수 없습니다."],
  too_many_keys: [
    "The account has as many keys as it may. Revoke one that is not used.",
    "만들 수 있는 키를 모두 만들었습니다. 쓰지 않는 키를 폐기해 주세요.",
  ],
  voucher_not_found: [
    "There is no voucher with this code. Check it for typing errors.",
    "쿠폰 번호를 찾을 수 없습니다. 잘못 입력한 글자가 없는지 확인해 주세요.",
  ],
  voucher_redeemed: ["The voucher has been redeemed before.", "이미 사용한 쿠폰입니다."],
  voucher_expired: ["The voucher has expired.", "기간이 지난 쿠폰입니다."],
  too_many_topups: [
    "There are too many unpaid orders. Pay one of them, or wait until they have expired.",
    "결제하지 않은 주문이 너무 많습니다. 기존 주문을 결제하거나 만료될 때까지 기다려 주세요.",
  ],
  review_refused: [
    "This order does not wait for that decision any more. Load the page again to see what it has become.",
    "이 주문은 더 이상 해당 결정을 기다리지 않습니다. 페이지를 새로 고쳐 현재 상태를 확인해 주세요.",
  ],
  topup_not_found: ["There is no such order.", "주문을 찾을 수 없습니다."],
  payment_provider_silent: [
    "The payment provider does not answer right now. What was paid is credited by itself.",
    "결제사에서 응답이 없습니다. 결제하신 금액은 자동으로 확인하여 충전됩니다.",
  ],
  payment_method_unavailable: [
    "This cannot be paid this way now. Choose another way.",
    "지금은 이 방법으로 결제할 수 없습니다. 다른 방법을 선택해 주세요.",
  ],
  stream_not_found: [
    "There is no such request, or it is no longer kept.",
    "요청을 찾을 수 없거나 보관 기간이 지났습니다.",
  ],
  account_not_found: ["There is no such account.", "계정을 찾을 수 없습니다."],
  price_not_found: [
    "No price of your own has this name and day. Those that ship with Tokenferry cannot be removed.",
    "이 이름과 날짜로 직접 설정한 가격이 없습니다. 기본 제공 가격은 삭제할 수 없습니다.",
  ],
  idempotency_key_reused: [
    "This was sent before with something else in it. Close it, look at what was booked, and begin anew.",
    "같은 요청이 다른 내용으로 이미 처리되었습니다. 창을 닫고 기록을 확인한 뒤 다시 시도해 주세요.",
  ],
  storage_unavailable: [
    "The server's storage fails right now. Try again in a moment.",
    "서버 저장소에 문제가 있습니다. 잠시 후 다시 시도해 주세요.",
  ],
  internal_error: [
    "Something has failed in the server. Tell the operator the request ID.",
    "서버에서 오류가 발생했습니다. 요청 ID를 운영자에게 알려 주세요.",
  ],
};

/** One or two sentences. */
export function explained(problem: Problem): string {
  const korean = language.value === "ko";
  if (problem.status === 429) {
    const wait = problem.retryAfterMs === null ? null : duration(Math.max(1000, problem.retryAfterMs));
    if (wait === null) {
      return korean ? "요청이 너무 많습니다. 잠시 후 다시 시도해 주세요." : "Too many requests. Try again in a moment.";
    }
    return korean ? `요청이 너무 많습니다. ${wait} 후 다시 시도해 주세요.` : `Too many requests. Try again in ${wait}.`;
  }
  const words = Object.hasOwn(WORDS, problem.code) ? WORDS[problem.code] : undefined;
  return words === undefined ? problem.message : words[korean ? 1 : 0];
}
