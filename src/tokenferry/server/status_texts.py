"""The words of the status page, in English and Korean."""

from collections.abc import Mapping
from typing import Literal

from tokenferry.domain.service_status import State

Language = Literal["en", "ko"]

LANGUAGES: tuple[Language, ...] = ("en", "ko")

STATES: Mapping[Language, Mapping[State, str]] = {
    "en": {
        "operational": "Operational",
        "degraded": "Degraded",
        "outage": "Outage",
        "unknown": "No requests",
    },
    "ko": {
        "operational": "정상",
        "degraded": "성능 저하",
        "outage": "장애",
        "unknown": "요청 없음",
    },
}

# What stands on top, by the worst of what is known now.
SUMMARIES: Mapping[Language, Mapping[State, str]] = {
    "en": {
        "operational": "All models are operational",
        "degraded": "Some requests fail",
        "outage": "A model does not respond",
        "unknown": "Nobody has asked lately",
    },
    "ko": {
        "operational": "모든 모델이 정상입니다",
        "degraded": "일부 요청이 실패하고 있습니다",
        "outage": "응답하지 않는 모델이 있습니다",
        "unknown": "최근 요청이 없습니다",
    },
}

WORDS: Mapping[Language, Mapping[str, str]] = {
    "en": {
        "title": "Service status",
        "other": "한국어",
        "as_of": "As of {moment} UTC",
        "models": "Models, last 90 days",
        "first_token": "Time to first token",
        "p50": "median {time}",
        "p95": "95% within {time}",
        "seconds": "{seconds} s",
        "served": "Served {share}",
        "begin": "90 days ago",
        "today": "Today",
        "bar": "{model}, last 90 days: {operational} days operational, {degraded} degraded, "
        "{outage} with an outage, {unknown} without requests.",
        "bad_days": "Days with failures: {count}",
        "day": "Day (UTC)",
        "state": "State",
        "share": "Served",
        "incidents": "Incidents",
        "none": "None in the last 90 days.",
        "span": "{began} to {ended} UTC",
        "ongoing": "since {began} UTC, ongoing",
        "failed": "{share} of requests failed",
        "legend": "How to read this",
        "legend_bar": "One bar a day, the latest on the right. The shorter it is, the worse the "
        "day was; a line is a day without requests.",
        "legend_served": "Served is the share of requests that neither a provider nor this gateway "
        "failed. What a client stopped, or was not allowed, does not count.",
        "legend_now": "The state is that of the latest hours in which somebody asked: degraded "
        "above 1% failures, an outage above 50%. A day is as bad as its worst hour with three "
        "failures or more.",
        "unavailable": "The figures cannot be read right now. Look again in a moment.",
    },
    "ko": {
        "title": "서비스 상태",
        "other": "English",
        "as_of": "{moment} UTC 기준",
        "models": "모델별 최근 90일",
        "first_token": "첫 토큰까지의 시간",
        "p50": "중앙값 {time}",
        "p95": "95% {time} 이내",
        "seconds": "{seconds}초",
        "served": "성공률 {share}",
        "begin": "90일 전",
        "today": "오늘",
        "bar": "{model} 최근 90일: 정상 {operational}일, 성능 저하 {degraded}일, 장애 {outage}일, "
        "요청 없음 {unknown}일.",
        "bad_days": "실패가 있었던 날: {count}일",
        "day": "날짜(UTC)",
        "state": "상태",
        "share": "성공률",
        "incidents": "장애 이력",
        "none": "최근 90일 동안 장애가 없었습니다.",
        "span": "{began} ~ {ended} UTC",
        "ongoing": "{began} UTC부터 진행 중",
        "failed": "요청 실패율 {share}",
        "legend": "보는 방법",
        "legend_bar": "막대 하나가 하루이며 오른쪽 끝이 오늘입니다. 막대가 짧을수록 상태가 나빴던 "
        "날이고, 가는 선은 요청이 없었던 날입니다.",
        "legend_served": "성공률은 공급자나 게이트웨이의 문제로 실패하지 않은 요청의 비율입니다. "
        "사용자가 중지했거나 허용되지 않은 요청은 계산에서 제외합니다.",
        "legend_now": "현재 상태는 요청이 있었던 가장 최근 시간대를 기준으로 합니다. 실패율이 1%를 "
        "넘으면 성능 저하, 50%를 넘으면 장애로 표시합니다. 하루의 상태는 실패가 3건 이상인 "
        "시간대 중 가장 나쁜 상태로 표시합니다.",
        "unavailable": "지금은 상태를 불러올 수 없습니다. 잠시 후 다시 확인해 주세요.",
    },
}
