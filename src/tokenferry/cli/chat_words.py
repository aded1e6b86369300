"""What the terminal chat says, in English and in Korean."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal

Language = Literal["en", "ko"]


def language_of(environment: Mapping[str, str]) -> Language:
    """Return the language of a terminal: the first of the usual variables that is set."""
    for name in ("LC_ALL", "LC_MESSAGES", "LANG"):
        if environment.get(name):
            return "ko" if environment[name].lower().startswith("ko") else "en"
    return "en"


@dataclass(frozen=True, slots=True)
class Words:
    """The sentences of one language; names in braces are filled in."""

    welcome: str
    thinking: str
    in_line: str
    in_line_about: str
    held_back: str
    reconnecting: str
    tokens: str
    estimated: str
    no_price: str
    first: str
    total: str
    stopped: str
    went_on: str
    taken_back: str
    cost: str
    cost_unpriced: str
    model_is: str
    new: str
    system_is: str
    no_system: str
    saved: str
    not_saved: str
    save_what: str
    unknown: str
    no_answer: str
    leave_hint: str
    help: str
    remedies: Mapping[str, str]


_ENGLISH: Final = Words(
    welcome="{model} at {url}. /help lists the commands; Ctrl-C stops an answer, Ctrl-D leaves.",
    thinking="waiting for the first token …",
    in_line="in the gateway's line: {position} in front",
    in_line_about="in the gateway's line: {position} in front, about {eta_s} s",
    held_back="at the key's limit: next try in {wait_s:.1f} s",
    reconnecting="the connection is lost; trying again (attempt {attempt}) …",
    tokens="{prompt} + {completion} tokens",
    estimated="estimated",
    no_price="no price",
    first="first token {seconds:.2f} s",
    total="total {seconds:.1f} s",
    stopped="stopped",
    went_on="The gateway did not confirm the stop in time; the stream ends there by itself.",
    taken_back="[The gateway has lost the end of the answer. This is what stands:]",
    cost="{answers} answers, {prompt} + {completion} tokens, {cost} USD",
    cost_unpriced="; {unpriced} of them without a known price",
    model_is="The model is {model}.",
    new="A new conversation.",
    system_is="The system message is: {system}",
    no_system="There is no system message.",
    saved="Saved to {path}.",
    not_saved="{path} cannot be written: {reason}.",
    save_what="Name a file: /save FILE",
    unknown="There is no command {command}. /help lists them.",
    no_answer="The answer is empty ({reason}).",
    leave_hint="Ctrl-C again, or Ctrl-D, leaves.",
    help="""\
/model [NAME]   show or change the model (Tab completes)
/models         list the models
/new            begin a new conversation
/system [TEXT]  show or set the system message; /system - removes it
/cost           what has been used so far
/save FILE      write the conversation to a file
/quit           leave
A line that ends with \\ goes on in the next one. What is pasted stays together.""",
    remedies={
        "insufficient_credit": "Buy credit or redeem a voucher in your account, then ask again.",
        "credit_used_up": "The answer ended where the credit did. Buy credit, then ask again.",
        "budget_exceeded": "The key's budget for this month is used up: raise it, or use another.",
        "invalid_api_key": "The key is unknown or revoked. Another: tokenferry keys create NAME",
        "expired_api_key": "The key has expired. Another: tokenferry keys create NAME",
        "model_not_found": "/models lists what there is.",
        "model_not_allowed": "The key is for other models. /models lists them.",
        "model_not_priced": "The operator must set a price first: tokenferry prices set",
        "rate_limit_exceeded": "The key is at its limit. Wait a moment, and ask again.",
        "connection_refused": "Start the gateway with `tokenferry serve`, or name it with --url.",
        "connection_lost": "The gateway cannot be reached any more. Ask again when it is back.",
    },
)
_KOREAN: Final = Words(
    welcome="{url}의 {model}입니다. /help는 명령 목록, Ctrl-C는 답변 중지, Ctrl-D는 종료입니다.",
    thinking="첫 토큰을 기다리고 있습니다 …",
    in_line="게이트웨이 대기열: 앞에 {position}건",
    in_line_about="게이트웨이 대기열: 앞에 {position}건, 약 {eta_s}초",
    held_back="키의 한도에 도달했습니다. {wait_s:.1f}초 뒤에 다시 시도합니다",
    reconnecting="연결이 끊겨 다시 연결하고 있습니다({attempt}번째 시도) …",
    tokens="토큰 {prompt} + {completion}",
    estimated="추정",
    no_price="가격 정보 없음",
    first="첫 토큰 {seconds:.2f}초",
    total="전체 {seconds:.1f}초",
    stopped="중지함",
    went_on="게이트웨이가 제때 중지를 확인하지 못했습니다. 스트림은 그곳에서 스스로 끝납니다.",
    taken_back="[게이트웨이가 답변의 끝부분을 잃었습니다. 남은 부분은 다음과 같습니다.]",
    cost="답변 {answers}개, 토큰 {prompt} + {completion}, {cost} USD",
    cost_unpriced=", 그중 {unpriced}개는 가격 정보가 없습니다",
    model_is="모델은 {model}입니다.",
    new="새 대화를 시작합니다.",
    system_is="시스템 메시지: {system}",
    no_system="시스템 메시지가 없습니다.",
    saved="{path}에 저장했습니다.",
    not_saved="{path}에 쓸 수 없습니다: {reason}",
    save_what="파일 이름을 적어 주세요: /save 파일",
    unknown="{command} 명령은 없습니다. /help에 목록이 있습니다.",
    no_answer="빈 답변입니다({reason}).",
    leave_hint="Ctrl-C를 한 번 더 누르거나 Ctrl-D를 누르면 종료합니다.",
    help="""\
/model [이름]    모델 확인 또는 변경(Tab 자동 완성)
/models          모델 목록
/new             새 대화
/system [내용]   시스템 메시지 확인 또는 설정, /system - 은 삭제
/cost            지금까지의 사용량
/save 파일       대화를 파일로 저장
/quit            종료
줄 끝에 \\를 두면 다음 줄로 이어집니다. 붙여 넣은 내용은 한 번에 전달됩니다.""",
    remedies={
        "insufficient_credit": "계정에서 크레딧을 충전하거나 쿠폰을 등록한 뒤 다시 질문해 주세요.",
        "credit_used_up": "크레딧이 소진되어 답변이 끝났습니다. 충전한 뒤 다시 질문해 주세요.",
        "budget_exceeded": "이 키의 이번 달 예산을 모두 썼습니다. 예산을 늘려 주세요.",
        "invalid_api_key": "알 수 없거나 폐기된 키입니다. 새 키 발급: tokenferry keys create NAME",
        "expired_api_key": "만료된 키입니다. 새 키 발급: tokenferry keys create NAME",
        "model_not_found": "/models에서 사용할 수 있는 모델을 확인해 주세요.",
        "model_not_allowed": "이 키로는 사용할 수 없는 모델입니다. /models에서 확인해 주세요.",
        "model_not_priced": "운영자가 먼저 가격을 정해야 합니다: tokenferry prices set",
        "rate_limit_exceeded": "키의 한도에 도달했습니다. 잠시 뒤에 다시 질문해 주세요.",
        "connection_refused": "`tokenferry serve`로 시작하거나 --url로 주소를 지정해 주세요.",
        "connection_lost": "게이트웨이에 더 이상 연결할 수 없습니다. 복구된 뒤 다시 질문해 주세요.",
    },
)
WORDS: Final[Mapping[Language, Words]] = {"en": _ENGLISH, "ko": _KOREAN}
