curl -N http://127.0.0.1:8000/v1/chat/completions \
  -H "Authorization: Bearer YOUR_KEY" \
  -H "Content-Type: application/json" \
  -d '{"model": "demo", "stream": true, "messages": [{"role": "user", "content": "Hello!"}]}'
