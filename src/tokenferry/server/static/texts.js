// The page's words in English and Korean. Braces mark what is filled in.

const ENGLISH = {
  restart: "New chat",
  key: "API key",
  model: "Model",
  transcript: "Conversation",
  emptyTitle: "Ask a question",
  emptyText: "Each token of the answer appears here the moment it exists.",
  keyText: "The server printed a key when it was first started. Another one comes from this command:",
  keyPrivacy: "The key stays in this tab and is forgotten when the tab is closed.",
  latest: "Latest",
  message: "Your message",
  placeholder: "Ask a question",
  send: "Send",
  stop: "Stop",
  you: "You",
  reasoning: "Reasoning",

  needsKey: "Enter an API key to begin.",
  loading: "Loading models…",
  ready: "Ready · models: {count}",
  connecting: "Connecting…",
  waiting: "Waiting for the first token…",
  queued: "Waiting · {ahead} ahead",
  answering: "Answering…",
  stopping: "Stopping…",
  stopped: "Stopped",
  done: "Done",
  cut: "Done, cut at the output limit",
  filtered: "Done, ended by the provider's filter",
  failed: "Failed",
  tokens: "tokens: {count}",
  tokensEstimated: "tokens: about {count}",
  firstToken: "first token {ms} ms",
  total: "total {s} s",

  requestId: "Request ID: {id}",
  missing_api_key: "Enter an API key first.",
  invalid_api_key_format: "This is not a Tokenferry key (tf_…). Check that all of it was copied.",
  invalid_api_key:
    "The server does not know this key, or it was revoked. Create a new one: tokenferry keys create NAME",
  invalid_ticket: "The connection took too long to authorize. Send the message again.",
  origin_not_allowed:
    "The server does not accept connections from this page's address. Add it to the allowed origins.",
  model_not_found: "This model is not available. Choose another one.",
  rate_limit_exceeded: "Too many requests. Wait a moment, then send the message again.",
  rate_limited_for: "Too many requests. Try again in {s} s.",
  too_many_streams: "Too many answers at once. Wait until one is done, then send the message again.",
  too_many_connections: "Too many connections with this key. Close another one, then try again.",
  server_draining: "The server is restarting. Send the message again in a few seconds.",
  server_overloaded: "The server is busy. Send the message again in a few seconds.",
  provider_auth_failed: "The provider refused the server's own key. The server's operator has to check it.",
  provider_unreachable: "{model} cannot be reached. Try again later, or choose another model.",
  provider_timeout: "{model} is not responding. Try again later, or choose another model.",
  provider_cut_off: "The answer was cut off. Send the message again for a new answer.",
  connection_lost: "The connection was lost. Check the network, then send the message again.",
  server_unreachable: "The server does not answer. Check that it is running, then try again.",
  other: "The request failed. Try again, or choose another model.",
};

const KOREAN = {
  restart: "새 대화",
  key: "API 키",
  model: "모델",
  transcript: "대화 내용",
  emptyTitle: "질문을 입력해 주세요",
  emptyText: "답변의 토큰이 생성되는 즉시 여기에 표시됩니다.",
  keyText: "서버를 처음 시작할 때 API 키가 출력됩니다. 새 키는 다음 명령으로 만들 수 있습니다.",
  keyPrivacy: "키는 이 탭에만 보관되며, 탭을 닫으면 삭제됩니다.",
  latest: "최신 내용으로",
  message: "보낼 메시지",
  placeholder: "질문을 입력해 주세요",
  send: "보내기",
  stop: "중지",
  you: "내 질문",
  reasoning: "추론 과정",

  needsKey: "시작하려면 API 키를 입력해 주세요.",
  loading: "모델 목록을 불러오는 중…",
  ready: "준비 완료 · 모델 {count}개",
  connecting: "연결 중…",
  waiting: "첫 토큰을 기다리는 중…",
  queued: "대기 중 · 앞에 {ahead}건",
  answering: "답변 생성 중…",
  stopping: "중지하는 중…",
  stopped: "중지됨",
  done: "완료",
  cut: "완료 · 출력 한도에서 끝남",
  filtered: "완료 · 제공자의 필터로 끝남",
  failed: "실패",
  tokens: "토큰 {count}개",
  tokensEstimated: "토큰 약 {count}개",
  firstToken: "첫 토큰 {ms}ms",
  total: "전체 {s}초",

  requestId: "요청 ID: {id}",
  missing_api_key: "먼저 API 키를 입력해 주세요.",
  invalid_api_key_format: "Tokenferry 키(tf_…)가 아닙니다. 빠진 부분 없이 복사했는지 확인해 주세요.",
  invalid_api_key:
    "등록되지 않았거나 폐기된 키입니다. 새 키를 만들어 주세요. tokenferry keys create NAME",
  invalid_ticket: "연결 인증 시간이 지났습니다. 메시지를 다시 보내 주세요.",
  origin_not_allowed:
    "서버가 이 페이지 주소의 연결을 허용하지 않습니다. 허용할 주소 목록에 추가해 주세요.",
  model_not_found: "사용할 수 없는 모델입니다. 다른 모델을 선택해 주세요.",
  rate_limit_exceeded: "요청이 너무 많습니다. 잠시 후 다시 보내 주세요.",
  rate_limited_for: "요청이 너무 많습니다. {s}초 후 다시 시도해 주세요.",
  too_many_streams: "동시에 생성 중인 답변이 너무 많습니다. 하나가 끝난 뒤 다시 보내 주세요.",
  too_many_connections: "이 키로 열린 연결이 너무 많습니다. 다른 연결을 닫고 다시 시도해 주세요.",
  server_draining: "서버가 다시 시작되는 중입니다. 잠시 후 다시 보내 주세요.",
  server_overloaded: "서버가 혼잡합니다. 잠시 후 다시 보내 주세요.",
  provider_auth_failed: "제공자가 서버의 키를 거부했습니다. 서버 관리자에게 확인을 요청해 주세요.",
  provider_unreachable:
    "{model} 모델에 연결할 수 없습니다. 나중에 다시 시도하거나 다른 모델을 선택해 주세요.",
  provider_timeout:
    "{model} 모델에서 응답이 없습니다. 나중에 다시 시도하거나 다른 모델을 선택해 주세요.",
  provider_cut_off: "답변이 중간에 끊겼습니다. 메시지를 다시 보내 주세요.",
  connection_lost: "연결이 끊어졌습니다. 네트워크를 확인하고 메시지를 다시 보내 주세요.",
  server_unreachable: "서버가 응답하지 않습니다. 실행 중인지 확인하고 다시 시도해 주세요.",
  other: "요청을 처리하지 못했습니다. 다시 시도하거나 다른 모델을 선택해 주세요.",
};

export const TEXTS = { en: ENGLISH, ko: KOREAN };

/** Returns a text with its braces filled in; numbers are written in the language's way. */
export function textOf(language, name, values = {}) {
  const number = new Intl.NumberFormat(language, { maximumFractionDigits: 1 });
  return TEXTS[language][name].replace(/\{(\w+)\}/g, (_, key) =>
    typeof values[key] === "number" ? number.format(values[key]) : String(values[key]),
  );
}
