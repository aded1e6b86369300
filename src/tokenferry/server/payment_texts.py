"""The words of the pages on which credit is paid for, in English and Korean."""

from collections.abc import Mapping
from typing import Literal

from tokenferry.domain.topup import State

Language = Literal["en", "ko"]

WORDS: Mapping[Language, Mapping[str, str]] = {
    "en": {
        "title": "Top up credit",
        "price": "Price",
        "credit": "Credit",
        "order": "Order",
        "name": "Your name",
        "phone": "Your phone number",
        "choose": "How would you like to pay?",
        "card": "Card",
        "easy": "KakaoPay, Naver Pay and others",
        "transfer": "Bank transfer",
        "virtual": "Virtual account (deposit)",
        "again": "Try again",
        "refresh": "Look again",
        "test": "This is a test: no real money is moved.",
        "no_script": "The payment window could not be loaded. Reload the page, or allow its script "
        "in your content blocker.",
        "needs_script": "Paying needs JavaScript.",
        "not_found": "There is no such order.",
        "silent": "The payment provider does not answer right now. Nothing is lost: what was paid "
        "is found out and credited by itself. This page looks again.",
        "confirming": "We are still waiting for the confirmation of the payment. Nothing is lost, "
        "and this page goes on by itself.",
        "busy": "The gateway cannot answer right now. Nothing is lost: what was paid is found out "
        "and credited by itself. This page looks again.",
        "often": "This page has asked too often about the payment. Nothing is lost: what was paid "
        "is credited by itself. It looks again in a minute.",
        "refused": "The payment provider does not take this payment now. If you have paid "
        "already, that is found out and credited by itself. It said:",
        "console": "To the console",
    },
    "ko": {
        "title": "크레딧 충전",
        "price": "결제 금액",
        "credit": "충전 크레딧",
        "order": "주문 번호",
        "name": "이름",
        "phone": "휴대전화 번호",
        "choose": "결제 수단을 선택해 주세요",
        "card": "카드",
        "easy": "간편결제(카카오페이, 네이버페이 등)",
        "transfer": "계좌이체",
        "virtual": "가상계좌(무통장입금)",
        "again": "다시 시도",
        "refresh": "다시 확인",
        "test": "테스트 결제입니다. 실제로 결제되지 않습니다.",
        "no_script": "결제창을 불러오지 못했습니다. 페이지를 새로 고치거나 차단 프로그램에서 "
        "결제 스크립트를 허용해 주세요.",
        "needs_script": "결제하려면 JavaScript가 필요합니다.",
        "not_found": "주문을 찾을 수 없습니다.",
        "silent": "결제사에서 응답이 없습니다. 결제하셨다면 자동으로 확인하여 충전되니 걱정하지 "
        "마세요. 이 페이지에서 다시 확인합니다.",
        "confirming": "결제 확인을 기다리고 있습니다. 결제하신 내용은 사라지지 않으며, 이 페이지는 "
        "자동으로 새로 고쳐집니다.",
        "busy": "지금은 서버가 응답할 수 없습니다. 결제하셨다면 자동으로 확인하여 "
        "충전되니 걱정하지 마세요. 이 페이지에서 다시 확인합니다.",
        "often": "결제 확인 요청이 너무 많았습니다. 결제하셨다면 자동으로 확인하여 "
        "충전되니 걱정하지 마세요. 1분 뒤 이 페이지에서 다시 확인합니다.",
        "refused": "결제사에서 이 결제를 받지 않았습니다. 이미 결제하셨다면 자동으로 "
        "확인하여 충전됩니다. 결제사의 답변:",
        "console": "콘솔로 이동",
    },
}

OUTCOMES: Mapping[Language, Mapping[State, str]] = {
    "en": {
        "open": "Nothing has been paid yet.",
        "waiting": "Waiting for your money to arrive. The credit is added by itself when it does.",
        "paid": "Paid. The credit is on your account.",
        "failed": "The payment failed. Nothing was charged.",
        "expired": "The order has expired. If you have paid all the same, it is still credited.",
        "review": "What was paid is not what was ordered, so that no credit was added. The "
        "operator looks into it, and gives you the credit or your money back. If you hear "
        "nothing, write to them with the order's number.",
        "closed": "The operator has settled this order otherwise. If you know nothing of it, write "
        "to them with the order's number.",
        "refunding": "A refund is under way.",
        "partly_refunded": "A part of the payment was given back.",
        "refunded": "The payment was given back.",
        "disputed": "The bank has taken the payment back. Its credit cannot be used until the bank "
        "has decided.",
    },
    "ko": {
        "open": "아직 결제되지 않았습니다.",
        "waiting": "입금을 기다리고 있습니다. 입금이 확인되면 자동으로 충전됩니다.",
        "paid": "결제가 완료되어 크레딧이 충전되었습니다.",
        "failed": "결제에 실패했습니다. 청구된 금액은 없습니다.",
        "expired": "주문이 만료되었습니다. 이미 결제하셨다면 확인되는 대로 충전됩니다.",
        "review": "결제된 내용이 주문과 달라 아직 충전되지 않았습니다. 운영자가 확인하여 "
        "충전하거나 환불해 드립니다. 연락이 없으면 주문 번호와 함께 운영자에게 문의해 주세요.",
        "closed": "운영자가 이 주문을 별도로 처리했습니다. 안내받은 내용이 없으면 주문 번호와 함께 "
        "운영자에게 문의해 주세요.",
        "refunding": "환불을 진행하고 있습니다.",
        "partly_refunded": "결제 금액의 일부가 환불되었습니다.",
        "refunded": "결제 금액이 환불되었습니다.",
        "disputed": "은행이나 카드사에서 결제를 회수했습니다. 결과가 나올 때까지 해당 "
        "크레딧은 사용할 수 없습니다.",
    },
}
