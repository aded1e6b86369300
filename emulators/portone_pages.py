"""The pages of the emulated PortOne: its browser's script, and where a buyer pays."""

import re
from html import escape
from typing import Any

from emulators.portone_payments import Payment, Refused

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


def check_window(request: dict[str, Any]) -> None:
    """Want from a browser what the strictest of the companies behind PortOne want.

    Source: PortOne's pages about KCP, KPN and Smartro (`paymentId`), NICE, KSNET and Galaxia
    (`accountExpiry`, `customerId`), KG Inicis and Welcome (`customer`).

    Raises:
        Refused: If it is not as they want it.
    """
    if not re.fullmatch("[A-Za-z0-9]{1,40}", str(request["paymentId"])):
        raise Refused(400, "PG_PROVIDER_ERROR", "paymentId: letters and digits only")
    customer = request.get("customer", {})
    if not all(customer.get(name) for name in ("fullName", "phoneNumber", "email")):
        raise Refused(400, "PG_PROVIDER_ERROR", "customer: who is it")
    if not 0 < len(customer.get("customerId", "")) <= 20:
        raise Refused(400, "PG_PROVIDER_ERROR", "customer.customerId: 20 characters")
    deposit = request.get("virtualAccount", {}).get("accountExpiry")
    if request.get("payMethod") == "VIRTUAL_ACCOUNT" and not deposit:
        raise Refused(400, "PG_PROVIDER_ERROR", "virtualAccount.accountExpiry is missing")


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
