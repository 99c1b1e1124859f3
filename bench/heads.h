/* Request heads as browsers send them, with the cookies that a site of today sets. */
#ifndef LIMPET_BENCH_HEADS_H
#define LIMPET_BENCH_HEADS_H

#define HEAD_COOKIES                                                                                         \
	"_ga=GA1.1.1043217562.1716112233; _ga_QWERTY1234=GS1.1.1716112233.4.1.1716112911.0.0.0; "            \
	"consent=eyJhbmFseXRpY3MiOnRydWUsImFkcyI6ZmFsc2V9; sid=s%3AqJ3vK9xLr0b2ZtPq8yWn5cE7dF1gH4iM.Xk2"     \
	"mQ8rT5uV7wY0zA3bC6dE9fG2hI5jK8lM1nO4pQ7rS; theme=dark"

static const char head_chrome[] =
    "GET /rooms/4711?view=list&sort=recent HTTP/1.1\r\nHost: chat.example.org\r\nConnection: keep-alive\r\n"
    "sec-ch-ua: \"Google Chrome\";v=\"125\", \"Chromium\";v=\"125\", \"Not.A/Brand\";v=\"24\"\r\n"
    "sec-ch-ua-mobile: ?0\r\nsec-ch-ua-platform: \"Windows\"\r\nUpgrade-Insecure-Requests: 1\r\n"
    "User-Agent: Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) "
    "Chrome/125.0.0.0 Safari/537.36\r\n"
    "Accept: "
    "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,image/apng,*/*;q=0.8,"
    "application/signed-exchange;v=b3;q=0.7\r\n"
    "Sec-Fetch-Site: same-origin\r\nSec-Fetch-Mode: navigate\r\nSec-Fetch-User: ?1\r\nSec-Fetch-Dest: "
    "document\r\n"
    "Referer: http://chat.example.org/rooms\r\nAccept-Encoding: gzip, deflate\r\n"
    "Accept-Language: en-US,en;q=0.9,de;q=0.8\r\nCookie: " HEAD_COOKIES "\r\n\r\n";

static const char head_firefox[] =
    "GET /rooms/4711?view=list&sort=recent HTTP/1.1\r\nHost: chat.example.org\r\n"
    "User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:126.0) Gecko/20100101 Firefox/126.0\r\n"
    "Accept: text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8\r\n"
    "Accept-Language: en-US,en;q=0.5\r\nAccept-Encoding: gzip, deflate\r\nConnection: keep-alive\r\n"
    "Referer: http://chat.example.org/rooms\r\nCookie: " HEAD_COOKIES "\r\nUpgrade-Insecure-Requests: 1\r\n"
    "Sec-GPC: 1\r\nPriority: u=1\r\n\r\n";

static const char head_safari[] =
    "GET /rooms/4711?view=list&sort=recent HTTP/1.1\r\nHost: chat.example.org\r\n"
    "Accept: text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8\r\nUpgrade-Insecure-Requests: "
    "1\r\n"
    "Cookie: " HEAD_COOKIES "\r\n"
    "User-Agent: Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like "
    "Gecko) "
    "Version/17.5 Mobile/15E148 Safari/604.1\r\n"
    "Accept-Language: en-GB,en;q=0.9\r\nReferer: http://chat.example.org/rooms\r\nAccept-Encoding: gzip, "
    "deflate\r\n"
    "Connection: keep-alive\r\n\r\n";

/* A long poll of socket.io, by Edge's XMLHttpRequest. */
static const char head_edge[] =
    "POST /socket.io/?EIO=4&transport=polling&t=P0abcde&sid=Zx3kLm9QwErTyUiOpAAB HTTP/1.1\r\n"
    "Host: chat.example.org\r\nConnection: keep-alive\r\nContent-Length: 2\r\n"
    "sec-ch-ua: \"Microsoft Edge\";v=\"125\", \"Chromium\";v=\"125\", \"Not.A/Brand\";v=\"24\"\r\n"
    "Accept: */*\r\nContent-type: text/plain;charset=UTF-8\r\nsec-ch-ua-mobile: ?0\r\n"
    "User-Agent: Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) "
    "Chrome/125.0.0.0 Safari/537.36 Edg/125.0.0.0\r\n"
    "sec-ch-ua-platform: \"Windows\"\r\nOrigin: http://chat.example.org\r\nSec-Fetch-Site: same-origin\r\n"
    "Sec-Fetch-Mode: cors\r\nSec-Fetch-Dest: empty\r\nReferer: http://chat.example.org/rooms/4711\r\n"
    "Accept-Encoding: gzip, deflate\r\nAccept-Language: en-US,en;q=0.9\r\nCookie: " HEAD_COOKIES "\r\n\r\n";

/* The handshake of a WebSocket, by Chrome for Android. */
static const char head_websocket[] =
    "GET /socket.io/?EIO=4&transport=websocket&sid=Zx3kLm9QwErTyUiOpAAB HTTP/1.1\r\nHost: "
    "chat.example.org\r\n"
    "Connection: Upgrade\r\nPragma: no-cache\r\nCache-Control: no-cache\r\n"
    "User-Agent: Mozilla/5.0 (Linux; Android 10; K) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/125.0.0.0 "
    "Mobile Safari/537.36\r\n"
    "Upgrade: websocket\r\nOrigin: http://chat.example.org\r\nSec-WebSocket-Version: 13\r\n"
    "Accept-Encoding: gzip, deflate\r\nAccept-Language: en-US,en;q=0.9\r\nCookie: " HEAD_COOKIES "\r\n"
    "Sec-WebSocket-Key: x3JJHMbDL1EzLkh9GBhXDw==\r\n"
    "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n\r\n";

#endif
