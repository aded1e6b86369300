// Opens the payment provider's window. What is paid for was decided by the server; what this page
// is told is what the provider's script needs, and changing it here changes no credit: the server
// compares what was paid with what was ordered.

const TOSS_METHODS = {
  card: { method: "CARD", card: { flowMode: "DEFAULT" } },
  // The same window, which offers KakaoPay, Naver Pay and the like beside cards.
  easy: { method: "CARD", card: { flowMode: "DEFAULT" } },
  transfer: { method: "TRANSFER" },
  virtual: { method: "VIRTUAL_ACCOUNT" },
};

// Some of the companies behind PortOne give no account to deposit into without a time limit.
const DEPOSIT = { accountExpiry: { validHours: 72 } };
const PORTONE_METHODS = {
  card: { payMethod: "CARD" },
  easy: { payMethod: "EASY_PAY" },
  transfer: { payMethod: "TRANSFER" },
  virtual: { payMethod: "VIRTUAL_ACCOUNT", virtualAccount: DEPOSIT },
};

const BUYER = {
  fullName: document.getElementById("buyer-name"),
  phoneNumber: document.getElementById("buyer-phone"),
};

const PAY = {
  async toss(options, method) {
    const { clientKey, customerKey, request } = options;
    const payment = window.TossPayments(clientKey).payment({ customerKey });
    await payment.requestPayment({ ...request, ...TOSS_METHODS[method] });
  },
  async portone(options, method) {
    const customer = { ...options.customer };
    // Where the payment company wants them; they go there, and not to us.
    for (const [field, input] of Object.entries(BUYER)) if (input) customer[field] = input.value.trim();
    const request = { ...options, customer, ...PORTONE_METHODS[method] };
    // It leads to the provider's page and comes back by itself; an answer is a failure before that.
    const answer = await window.PortOne.requestPayment(request);
    if (answer?.code !== undefined) throw new Error(answer.message);
  },
};

const outcome = document.getElementById("outcome");
const { kind, options } = JSON.parse(document.getElementById("payment").textContent);
const buttons = document.querySelectorAll("#methods button");

function enable(enabled) {
  for (const button of buttons) button.disabled = !enabled;
}

for (const button of buttons) {
  button.addEventListener("click", async () => {
    if (Object.values(BUYER).some((input) => input && !input.reportValidity())) return;
    enable(false);
    outcome.textContent = "";
    try {
      await PAY[kind](options, button.dataset.method);
    } catch (error) {
      const missing = error instanceof TypeError || error instanceof ReferenceError;
      outcome.textContent = missing ? outcome.dataset.noScript : error.message;
    } finally {
      enable(true);
    }
  });
}
