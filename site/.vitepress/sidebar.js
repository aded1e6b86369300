// The map of the site, once for both languages. A page without Korean is shown in English there too.

import { existsSync } from "node:fs";
import { resolve } from "node:path";

import { ROOT, sitePath } from "./pages.js";

// Group: its names, and its pages: path, English, Korean.
const MAP = [
  ["Start", "시작", [
    ["docs/quick-start.md", "Quick start", "빠른 시작"],
    ["docs/how-it-works.md", "How it works", "작동 원리"],
    ["docs/sdk.md", "SDKs", "SDK"],
    ["docs/chat.md", "The chat page", "채팅 페이지"],
    ["docs/pages.md", "All pages, in pictures", "모든 페이지(그림)"],
    ["docs/terminal.md", "In the terminal", "터미널에서"],
  ]],
  ["When something fails", "문제가 생겼을 때", [
    ["docs/guides/cannot-connect.md", "Cannot connect", "연결할 수 없을 때"],
    ["docs/guides/unauthorized.md", "401: the key", "401: 키 문제"],
    ["docs/guides/dropped-stream.md", "A dropped stream", "스트림이 끊겼을 때"],
    ["docs/guides/too-many-requests.md", "429: too many requests", "429: 요청이 너무 많을 때"],
  ]],
  ["Move here", "옮겨 오기", [
    ["docs/guides/migrate-from-openai.md", "From OpenAI", "OpenAI에서"],
    ["docs/guides/migrate-from-litellm.md", "From LiteLLM", "LiteLLM에서"],
    ["docs/guides/migrate-from-openrouter.md", "From OpenRouter", "OpenRouter에서"],
    ["docs/guides/migrate-from-one-api.md", "From one-api, new-api", "one-api, new-api에서"],
  ]],
  ["Guides", "안내", [
    ["docs/guides/browser-apps.md", "Browser apps", "브라우저 앱"],
    ["docs/streams.md", "Streams that survive", "끊겨도 살아남는 스트림"],
    ["docs/console.md", "The console", "콘솔"],
    ["docs/administration.md", "Administration", "관리"],
    ["docs/accounts.md", "Accounts", "계정"],
    ["docs/billing.md", "Billing", "과금"],
    ["docs/payments.md", "Payments", "결제"],
    ["docs/limits.md", "Limits", "한도"],
  ]],
  ["Operate", "운영", [
    ["docs/operations.md", "Operations", "운영 안내"],
    ["docs/guides/deploy-nginx.md", "Behind nginx", "nginx 뒤에 두기"],
    ["docs/guides/deploy-caddy.md", "Behind Caddy", "Caddy 뒤에 두기"],
    ["docs/requests.md", "The request log", "요청 기록"],
    ["docs/providers.md", "Providers", "공급자"],
    ["docs/routing.md", "Routing", "라우팅"],
    ["docs/queue.md", "The line", "대기열"],
    ["docs/reliability.md", "Reliability", "신뢰성"],
  ]],
  ["Reference", "참고", [
    ["docs/errors.md", "Errors", "오류"],
    ["docs/reference/settings.md", "Settings", "설정"],
    ["docs/reference/prices.md", "Prices", "가격"],
    ["spec/PROTOCOL.md", "WebSocket protocol", "WebSocket 프로토콜"],
    ["docs/known-failures.md", "Known failures", "알려진 장애"],
  ]],
  ["Project", "프로젝트", [
    ["ARCHITECTURE.md", "Architecture", "구조"],
    ["docs/decisions/README.md", "Decisions", "결정 기록"],
    ["CONTRIBUTING.md", "Contributing", "기여 방법"],
    ["CHANGELOG.md", "Changes", "변경 사항"],
  ]],
];

/** Return the sidebar of a language, `en` or `ko`. */
export function sidebar(language) {
  const korean = language === "ko";
  return MAP.map(([english, name, pages]) => ({
    text: korean ? name : english,
    items: pages.map(([path, title, koreanTitle]) => {
      const translated = path.replace(/\.md$/, ".ko.md");
      const there = korean && existsSync(resolve(ROOT, translated));
      const note = korean && !there ? " (영어)" : "";
      const link = `/${sitePath(there ? translated : path)}`.replace(/(?:index)?\.md$/, "");
      return { text: (korean ? koreanTitle : title) + note, link };
    }),
  }));
}

/** What the theme says in Korean. */
export const KOREAN = {
  outline: { level: [2, 3], label: "이 페이지에서" },
  docFooter: { prev: "이전", next: "다음" },
  darkModeSwitchLabel: "화면 모드",
  lightModeSwitchTitle: "밝은 화면으로",
  darkModeSwitchTitle: "어두운 화면으로",
  sidebarMenuLabel: "메뉴",
  returnToTopLabel: "맨 위로",
  langMenuLabel: "언어",
  skipToContentLabel: "본문으로 건너뛰기",
};

export const KOREAN_SEARCH = {
  button: { buttonText: "검색", buttonAriaLabel: "검색" },
  modal: {
    displayDetails: "자세히 보기",
    resetButtonTitle: "지우기",
    backButtonTitle: "닫기",
    noResultsText: "결과가 없습니다:",
    footer: { selectText: "열기", navigateText: "이동", closeText: "닫기" },
  },
};
