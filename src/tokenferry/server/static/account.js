// Uses the link of a mail: proves an address, or replaces a password. Either way the password is
// chosen here: whoever signed up with the address need not be its owner.
//
// The token stands behind `#`, which no server is sent. It is taken out of the address bar at once,
// and used when the person says so: programs that look at links in mails cannot use it up.

const ENGLISH = {
  verify: "Confirm that this e-mail address is yours: choose the account's password, of 10 characters or more.",
  reset: "Choose a new password, of 10 characters or more. All logins of the account end.",
  password: "New password",
  go: "Confirm",
  verified: "Done. The account is open: you can log in.",
  changed: "Done. Log in with the new password.",
  nothing: "There is no link here. Open the one in the mail again.",
  unreachable: "The server cannot be reached. Try again in a moment.",
  spent: "The link is unknown, used, replaced by a newer one, or expired. Ask for another one.",
  weak: "Choose another password: 10 characters or more, not the address, and none that everybody tries first.",
};

const KOREAN = {
  verify: "이메일 주소를 확인하고 계정을 엽니다. 계정의 비밀번호를 10자 이상으로 정해 주세요.",
  reset: "새 비밀번호를 10자 이상으로 정해 주세요. 이 계정의 모든 로그인이 끝납니다.",
  password: "새 비밀번호",
  go: "확인",
  verified: "완료되었습니다. 계정이 열렸으니 로그인할 수 있습니다.",
  changed: "완료되었습니다. 새 비밀번호로 로그인해 주세요.",
  nothing: "링크가 없습니다. 메일의 링크를 다시 열어 주세요.",
  unreachable: "서버에 연결할 수 없습니다. 잠시 후 다시 시도해 주세요.",
  spent: "알 수 없거나, 이미 사용했거나, 새 링크로 바뀌었거나, 만료된 링크입니다. 링크를 다시 요청해 주세요.",
  weak: "다른 비밀번호를 정해 주세요. 10자 이상이어야 하고, 이메일 주소나 흔한 비밀번호는 쓸 수 없습니다.",
};

const PATHS = { verify: "/api/accounts/verify", reset: "/api/password-resets/confirm" };

const korean = navigator.language.startsWith("ko");
const words = korean ? KOREAN : ENGLISH;
const element = (id) => document.getElementById(id);
const tell = (text) => (element("outcome").textContent = text);

async function use(kind, token) {
  const body = { token, password: element("password").value };
  const response = await fetch(PATHS[kind], {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify(body),
  });
  if (response.ok) {
    element("mail-link").hidden = true;
    return kind === "reset" ? words.changed : words.verified;
  }
  const { error } = await response.json();
  if (error.code === "invalid_link") return words.spent;
  return error.param === "password" ? words.weak : error.message;
}

function begin() {
  document.documentElement.lang = korean ? "ko" : "en";
  const [, kind, token] = /^#(verify|reset)=([\w-]+)$/.exec(location.hash) ?? [];
  if (token === undefined) return tell(words.nothing);
  history.replaceState(null, "", location.pathname);
  element("what").textContent = words[kind];
  element("password-label").textContent = words.password;
  element("go").textContent = words.go;
  element("mail-link").hidden = false;
  element("mail-link").addEventListener("submit", async (event) => {
    event.preventDefault();
    element("go").disabled = true;
    tell("");
    try {
      tell(await use(kind, token));
    } catch {
      tell(words.unreachable);
    } finally {
      element("go").disabled = false;
    }
  });
}

begin();
