# ruff: noqa: RUF001 -- Chinese and Japanese punctuation is full-width
"""The simulator's words in the languages that it answers in.

Weakness: four languages; everything else is answered in English.
"""

from dataclasses import dataclass
from typing import Literal

Language = Literal["en", "ko", "ja", "zh"]

_START = """
```sh
export OPENAI_API_KEY=your-key
tokenferry serve
```
"""


@dataclass(frozen=True, slots=True)
class Texts:
    """The sentences of one language; braces mark what is filled in.

    Attributes:
        introduction: Says that this is a simulator and no model.
        wrote: Stands before the quoted message.
        attachments: Says that images and files were not looked at.
        remedy: Says how to get answers from real models.
        meanwhile: Says what can be seen until then.
        journey: Begins the long answer.
        steps: The long answer's numbered sentences.
        tool_result: Stands before a tool's quoted result; takes `name`.
        tool_note: Says that the result was only repeated.
        reasoning: The reasoning; takes `characters`.
        json_note: The note in a JSON answer.
    """

    introduction: str
    wrote: str
    attachments: str
    remedy: str
    meanwhile: str
    journey: str
    steps: tuple[str, ...]
    tool_result: str
    tool_note: str
    reasoning: str
    json_note: str


_ENGLISH = Texts(
    introduction=(
        "This is Tokenferry's built-in **demo simulator**, not a language model. It works offline; "
        "all it can do is repeat your message and explain itself."
    ),
    wrote="You wrote:",
    attachments="Images and files that came with the message were not looked at.",
    remedy=(
        "Real models answer as soon as the server has a provider's key. Set `OPENAI_API_KEY`, "
        "`ANTHROPIC_API_KEY`, `GEMINI_API_KEY` or `DEEPSEEK_API_KEY`, and start the server again:\n"
        + _START
    ),
    meanwhile=(
        "Then ask for one of its models instead of `demo`. Until then, you can watch here:\n\n"
        "- tokens arriving one by one, at the pace of a reader\n"
        "- `max_tokens`, `stop` and a cancelled request ending the answer early\n"
        "- the usage, counted at the end"
    ),
    journey="You asked for a long answer, so here is a token's way through Tokenferry:",
    steps=(
        "The client sends its request over WebSocket or HTTP, together with its key.",
        "The gateway checks the key and reads the request.",
        "A mistake in it is answered at once, with the field's name and what to do about it.",
        "The model's name leads to a provider, and the request is put into that provider's form.",
        "Connections to providers are kept open, so most requests need not wait for a new one.",
        "The provider's events are read as they arrive, and all are turned into one common form.",
        "Every piece gets the next number of its stream and is written to the journal.",
        "Only then does it go out, so a number that a client has seen never means anything else.",
        "A client that reads slowly delays nobody but itself; the provider is not slowed down.",
        "At the end, one last frame says why the answer ended and how many tokens it took.",
    ),
    tool_result="The tool `{name}` returned:",
    tool_note=(
        "The demo simulator can only repeat this result. A real model would use it to answer the "
        "question."
    ),
    reasoning=(
        "Simulated reasoning: the last message has {characters} characters and reads as English. "
        "There is nothing to work out, so the answer introduces the simulator."
    ),
    json_note="Answered by Tokenferry's built-in demo simulator, not by a language model.",
)

_KOREAN = Texts(
    introduction=(
        "Tokenferry에 내장된 **데모 시뮬레이터**의 답변입니다. 언어 모델이 아니며, "
        "인터넷 연결 없이 동작합니다. 받은 메시지를 그대로 보여 드리고 사용 방법을 안내합니다."
    ),
    wrote="보내신 메시지는 다음과 같습니다.",
    attachments="함께 보내신 이미지나 파일은 확인하지 않았습니다.",
    remedy=(
        "공급자의 API 키를 설정하면 실제 모델이 답변합니다. `OPENAI_API_KEY`, "
        "`ANTHROPIC_API_KEY`, `GEMINI_API_KEY`, `DEEPSEEK_API_KEY` 중 하나를 설정한 뒤 "
        "서버를 다시 시작해 주세요.\n" + _START
    ),
    meanwhile=(
        "그런 다음 `demo` 대신 원하는 모델의 이름으로 요청해 주세요. "
        "그 전까지는 여기에서 다음을 확인하실 수 있습니다.\n\n"
        "- 토큰이 읽기 좋은 속도로 하나씩 도착하는 모습\n"
        "- `max_tokens`, `stop`, 요청 취소로 답변이 일찍 끝나는 동작\n"
        "- 마지막에 집계되는 사용량"
    ),
    journey="긴 답변을 요청하셨으므로, 토큰 하나가 Tokenferry를 지나는 과정을 설명해 드립니다.",
    steps=(
        "클라이언트가 WebSocket 또는 HTTP로 요청과 키를 함께 보냅니다.",
        "게이트웨이가 키를 확인하고 요청을 읽습니다.",
        "요청에 잘못된 부분이 있으면 어느 필드를 어떻게 고쳐야 하는지 바로 알려 드립니다.",
        "모델 이름에 맞는 공급자를 찾고, 그 공급자가 이해하는 형식으로 요청을 변환합니다.",
        "공급자와의 연결은 열어 두고 다시 쓰므로, 대부분의 요청은 새 연결을 기다리지 않습니다.",
        "공급자가 보내는 이벤트는 도착하는 즉시 읽어서 하나의 공통된 형식으로 바꿉니다.",
        "조각마다 스트림의 다음 번호가 붙고, 저널에 기록됩니다.",
        "기록한 뒤에만 전송하므로, 클라이언트가 이미 본 번호는 다른 내용에 쓰이지 않습니다.",
        "느리게 읽는 클라이언트는 자신만 늦어질 뿐이며, 공급자의 속도는 떨어지지 않습니다.",
        "마지막 프레임은 답변이 끝난 이유와 사용한 토큰 수를 알려 드립니다.",
    ),
    tool_result="도구 `{name}`의 실행 결과는 다음과 같습니다.",
    tool_note=(
        "데모 시뮬레이터는 결과를 그대로 보여 드리기만 합니다. "
        "실제 모델이라면 이 결과를 활용해 질문에 답변합니다."
    ),
    reasoning=(
        "추론 과정을 흉내 낸 글입니다. 마지막 메시지는 {characters}자이며 한국어로 판단했습니다. "
        "따로 따져 볼 내용이 없으므로 시뮬레이터를 소개하는 답변을 준비합니다."
    ),
    json_note="언어 모델이 아니라 Tokenferry에 내장된 데모 시뮬레이터의 답변입니다.",
)

_JAPANESE = Texts(
    introduction=(
        "これは Tokenferry に内蔵された**デモ用シミュレーター**の応答です。"
        "言語モデルではありません。オフラインで動作し、受け取ったメッセージを繰り返して使い方を案内します。"
    ),
    wrote="お送りいただいたメッセージは次のとおりです。",
    attachments="添付された画像やファイルは確認していません。",
    remedy=(
        "プロバイダーの API キーを設定すると、実際のモデルが回答します。`OPENAI_API_KEY`、"
        "`ANTHROPIC_API_KEY`、`GEMINI_API_KEY`、`DEEPSEEK_API_KEY` のいずれかを設定し、"
        "サーバーを再起動してください。\n" + _START
    ),
    meanwhile=(
        "その後、`demo` の代わりに使いたいモデルの名前を指定してください。"
        "それまでは、ここで次のことを確認できます。\n\n"
        "- トークンが読みやすい速さで一つずつ届く様子\n"
        "- `max_tokens`、`stop`、リクエストの取り消しで回答が早く終わる動作\n"
        "- 最後に集計される使用量"
    ),
    journey="長い回答をご希望ですので、トークンが Tokenferry を通る流れを説明します。",
    steps=(
        "クライアントが WebSocket または HTTP で、リクエストとキーを送ります。",
        "ゲートウェイがキーを確認し、リクエストを読みます。",
        "誤りがあれば、すぐに項目名と直し方を返します。",
        "モデル名からプロバイダーを決め、そのプロバイダーの形式にリクエストを変換します。",
        "プロバイダーのイベントは届いた順に読み、共通の形式にそろえます。",
        "それぞれの断片にストリームの次の番号を付け、ジャーナルに記録します。",
        "記録してから送るので、一度見た番号が別の内容に使われることはありません。",
        "読むのが遅いクライアントがいても、プロバイダーの速度は落ちません。",
        "最後のフレームで、回答が終わった理由と使ったトークン数をお知らせします。",
    ),
    tool_result="ツール `{name}` の実行結果は次のとおりです。",
    tool_note=(
        "デモ用シミュレーターは結果を繰り返すだけです。"
        "実際のモデルであれば、この結果を使って質問に答えます。"
    ),
    reasoning=(
        "推論をまねた文章です。最後のメッセージは {characters} 文字で、日本語と判断しました。"
        "考える内容はないため、シミュレーターを紹介します。"
    ),
    json_note="言語モデルではなく、Tokenferry に内蔵されたデモ用シミュレーターの応答です。",
)

_CHINESE = Texts(
    introduction=(
        "这是 Tokenferry 内置的**演示模拟器**，不是语言模型。"
        "它可以离线运行，只会复述收到的消息并说明用法。"
    ),
    wrote="您发送的消息如下：",
    attachments="随消息发送的图片和文件未被查看。",
    remedy=(
        "设置提供商的 API 密钥后，就会由真实的模型回答。请设置 `OPENAI_API_KEY`、"
        "`ANTHROPIC_API_KEY`、`GEMINI_API_KEY` 或 `DEEPSEEK_API_KEY`，然后重新启动服务器：\n"
        + _START
    ),
    meanwhile=(
        "之后请用所需模型的名称代替 `demo`。在此之前，您可以在这里看到：\n\n"
        "- token 以适合阅读的速度逐个到达\n"
        "- `max_tokens`、`stop` 和取消请求使回答提前结束\n"
        "- 最后统计的用量"
    ),
    journey="您要求较长的回答，下面介绍一个 token 经过 Tokenferry 的过程：",
    steps=(
        "客户端通过 WebSocket 或 HTTP 发送请求和密钥。",
        "网关检查密钥并读取请求；如有错误，会立即指出是哪个字段以及如何修正。",
        "根据模型名称找到提供商，并把请求转换成该提供商的格式。",
        "提供商的事件一到达就被读取，并转换成统一的格式。",
        "每个片段都会得到所属流的下一个编号，并写入日志。",
        "写入之后才发送给客户端，因此客户端见过的编号不会再用于其他内容。",
        "读取缓慢的客户端只会影响自己，不会拖慢提供商。",
        "最后一帧说明回答结束的原因和使用的 token 数量。",
    ),
    tool_result="工具 `{name}` 的执行结果如下：",
    tool_note="演示模拟器只会复述这个结果，真实的模型会用它来回答问题。",
    reasoning=(
        "这是模拟的推理过程。最后一条消息有 {characters} 个字符，判断为中文。"
        "没有需要推算的内容，因此回答将介绍模拟器。"
    ),
    json_note="这是 Tokenferry 内置演示模拟器的回答，不是语言模型的回答。",
)

TEXTS: dict[Language, Texts] = {
    "en": _ENGLISH,
    "ko": _KOREAN,
    "ja": _JAPANESE,
    "zh": _CHINESE,
}
