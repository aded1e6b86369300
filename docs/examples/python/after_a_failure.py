import openai

client = openai.OpenAI(base_url="http://127.0.0.1:8000/v1", api_key="YOUR_KEY", max_retries=5)
messages = [{"role": "user", "content": "Hello!"}]
text = ""
try:
    for chunk in client.chat.completions.create(model="demo", messages=messages, stream=True):
        text += chunk.choices[0].delta.content or ""
except openai.AuthenticationError as error:
    print("The key:", error.message)
except openai.RateLimitError as error:
    print("Too much:", error.message, error.response.headers.get("retry-after"))
except openai.APIStatusError as error:
    print("Refused:", error.status_code, error.code, error.message)
except openai.APIConnectionError as error:
    print("No connection, or it broke:", repr(error.__cause__))
except openai.APIError as error:
    print("The answer broke off:", error.code, error.message)
else:
    print(text)
