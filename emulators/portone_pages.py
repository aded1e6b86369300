"""The pages of the emulated PortOne: its browser's script, and where a buyer pays."""

from html import escape

from emulators.portone_payments import Payment

# `PortOne.requestPayment` as in the browser SDK V2; it always leads to the page, as on phones.
SCRIPT = """\
window.PortOne = {
  async requestPayment(request) {
    const opened = await fetch(new URL("/_pay", "@ORIGIN@"), {
      method: "POST",
      body: JSON.stringify(request),
    });
    const answer = await opened.json();
    if (answer.code !== undefined) return answer;
    location.assign(answer.url);
    return new Promise(() => {});
  },
};
"""

ACTIONS = {
    "pay": "Pay",
    "fail": "Fail",
    "issue_account": "Take a virtual account",
    "deposit": "Deposit into the account",
    "bounce": "Bounce the deposit",
    "pend": "Leave it pending",
    "give_up": "Close the window",
}


def pay_page(payment: Payment) -> str:
    """Return the page on which a buyer pays."""
    buttons = "\n".join(
        f'<p><button name="action" value="{action}">{escape(label)}</button></p>'
        for action, label in ACTIONS.items()
    )
    return f"""<!doctype html>
<html lang="en">
<meta charset="utf-8">
<title>Emulated PortOne</title>
<h1>Emulated PortOne</h1>
<p>{escape(payment.order_name)}: <b>{payment.total} {escape(payment.currency)}</b></p>
<p>Payment {escape(payment.id)}, {escape(payment.status)}</p>
<form method="post">
<p><label><input type="checkbox" name="lose" value="1"> Lose the webhook</label></p>
<p><label><input type="checkbox" name="hold" value="1"> Hold the webhook back</label></p>
{buttons}
</form>
</html>
"""
