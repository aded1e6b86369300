// The texts that pages for administrators share, and their names in the navigation.

import { texts } from "../../shared/language.js";

const en = {
  accounts: "Accounts",
  providers: "Providers",
  models: "Models & prices",
  live: "Queue & live streams",
  vouchers: "Issue vouchers",
  ledger: "Ledger check",
  audit: "Audit",
  actions: "Actions",
  operator: "The operator",
  search: "Search",
  show: "Show",
  amountAboveZero: "Write an amount of USD above zero, such as 5.00.",
  wholeNumber: (least: string, most: string) => `Write a whole number, ${least} to ${most}.`,
};

const ko: typeof en = {
  accounts: "계정",
  providers: "공급자",
  models: "모델·가격",
  live: "대기열·진행 중 스트림",
  vouchers: "쿠폰 발행",
  ledger: "원장 점검",
  audit: "변경 기록",
  actions: "작업",
  operator: "운영자",
  search: "검색",
  show: "보기",
  amountAboveZero: "5.00과 같이 0보다 큰 USD 금액을 입력해 주세요.",
  wholeNumber: (least: string, most: string) => `${least}~${most} 사이의 정수를 입력해 주세요.`,
};

export const t = texts(en, ko);
