import { texts } from "../../../shared/language.js";

const en = {
  intro:
    "What administrators have changed here. Each entry was written together with its change, and is never changed or deleted.",
  filter: "Account",
  filterHint: "The id of an account: changes of it, and those that it has made.",
  action: "Change",
  all: "All",
  from: "From",
  to: "To",
  time: (zone: string) => `Time (${zone})`,
  target: "What",
  of: "of",
  by: "By",
  details: "Details",
  empty: "There are no such changes.",
  yes: "yes",
  no: "no",
  usual: "as other keys",
  unlimited: "no limit",
};

const ko: typeof en = {
  intro: "관리자가 변경한 내역입니다. 각 기록은 변경과 함께 저장되며 수정되거나 삭제되지 않습니다.",
  filter: "계정",
  filterHint: "계정 ID를 입력하면 그 계정에 대한 변경과 그 계정이 한 변경을 보여 줍니다.",
  action: "변경",
  all: "전체",
  from: "시작일",
  to: "종료일",
  time: (zone: string) => `시각 (${zone})`,
  target: "대상",
  of: "계정",
  by: "관리자",
  details: "내용",
  empty: "해당하는 변경이 없습니다.",
  yes: "예",
  no: "아니요",
  usual: "기본 한도",
  unlimited: "제한 없음",
};

export const t = texts(en, ko);

const enActions = {
  "account.grant": "Credit given or taken",
  "account.suspend": "Account suspended",
  "account.unsuspend": "Suspension ended",
  "key.limit": "Limits of a key changed",
  "key.revoke": "Key revoked",
  "price.set": "Price set",
  "price.remove": "Price removed",
  "vouchers.make": "Vouchers made",
  "topup.refund": "Refund asked for",
  "topup.accept": "Other payment accepted",
  "topup.close": "Order closed",
  "topup.abandon": "Refund given up",
  "stream.stop": "Stream to be stopped",
  "stream.stopped": "Stream stopped",
  "ledger.check": "Check of the books begun",
};

const koActions: typeof enActions = {
  "account.grant": "크레딧 지급·회수",
  "account.suspend": "계정 정지",
  "account.unsuspend": "정지 해제",
  "key.limit": "키 한도 변경",
  "key.revoke": "키 폐기",
  "price.set": "가격 설정",
  "price.remove": "가격 삭제",
  "vouchers.make": "쿠폰 발행",
  "topup.refund": "환불 요청",
  "topup.accept": "다른 금액의 결제 승인",
  "topup.close": "주문 종결",
  "topup.abandon": "환불 포기",
  "stream.stop": "스트림 중지 요청",
  "stream.stopped": "스트림 중지됨",
  "ledger.check": "원장 점검 시작",
};

/** What was done, by the API's name for it. */
export const actionTexts = texts(enActions, koActions);

const enNames = {
  amount: "Amount",
  amount_minor: "Amount",
  credit: "Credit",
  reason: "Reason",
  reference: "Reference",
  priority: "Service tier “priority”",
  before: "Before",
  valid_from: "Valid from",
  rates: "Rates",
  forced: "Set though it is odd",
  count: "How many",
  model: "Model",
  chunks: "Chunks",
  input: "input",
  output: "output",
  cached_input: "cached input",
  cache_write: "cache write",
  cache_write_1h: "cache write for an hour",
  reasoning: "reasoning",
};

const koNames: typeof enNames = {
  amount: "금액",
  amount_minor: "금액",
  credit: "크레딧",
  reason: "사유",
  reference: "참조",
  priority: "서비스 등급 priority",
  before: "변경 전",
  valid_from: "적용 시작일",
  rates: "단가",
  forced: "확인 후 강제 적용",
  count: "장수",
  model: "모델",
  chunks: "청크",
  input: "입력",
  output: "출력",
  cached_input: "캐시 입력",
  cache_write: "캐시 쓰기",
  cache_write_1h: "1시간 캐시 쓰기",
  reasoning: "추론",
};

/** What details are called, by the API's name for them; limits are called as where they are set. */
export const nameTexts = texts(enNames, koNames);
