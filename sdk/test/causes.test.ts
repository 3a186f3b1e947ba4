/** What hosts were seen to say, and what it means. A cause is claimed on evidence alone. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { causeOf, wordsOf } from '../src/hosts/causes.js';
import type { DropCause } from '../src/vocabulary.js';

const TABLES: { [source: string]: [words: string, cause: DropCause | undefined][] } = {
  'WeChat and its likes': [
    ['createSocketTask:fail url not in domain list', 'domain_not_allowed'],
    ['connectSocket:fail url not in domain list:wss://a.example', 'domain_not_allowed'],
    ['connectSocket:fail 小程序不在以下 socket 合法域名列表中', 'domain_not_allowed'],
    ['wss://a.example不在以下 socket 合法域名列表中', 'domain_not_allowed'],
    ['createSocketTask:fail wcwss taskID=9 exceed max concurrent count', 'slots_exhausted'],
    ['reach max websocket connect count 5', 'slots_exhausted'],
    ['同时最多发起 5 个 socket 请求', 'slots_exhausted'],
    ['超过10个并行连接', 'slots_exhausted'],
    ['socket already exists', 'slots_exhausted'],
    ['fail interrupted', 'background'],
    ['request:fail interrupted', 'background'],
    ['interrupted', 'background'],
    ['open fail: _code:8,_msg:TLS handshake failed', 'tls_failed'],
    ['connectSocket:fail timeout', 'connect_timeout'],
    ['connectSocket:fail timed out', 'connect_timeout'],
    ['fail:time out', 'connect_timeout'],
    ['连接超时', 'connect_timeout'],
    ['Stream end encountered', 'network_lost'],
    ['abnormal closure', 'network_lost'],
    ['closeSocket:fail wcwss taskID not exist', 'network_lost'],
    ['closeSocket:fail WebSocket is not connected', 'network_lost'],
    ['SocketTask.send:fail SocketTask.readyState is not OPEN', 'network_lost'],
    ['dns fail', 'dns_failed'],
    ['connection refused', 'refused'],
    ['normal closure', undefined],
    ['Underlying Transport Error', undefined],
  ],
  'iOS in English': [
    ['The Internet connection appears to be offline.', 'network_lost'],
    ['The network connection was lost.', 'network_lost'],
    ['The request timed out.', 'connect_timeout'],
    ['A server with the specified hostname could not be found.', 'dns_failed'],
    ['Could not connect to the server.', 'refused'],
    ['There was a bad response from the server.', 'refused'],
    ['The certificate for this server is invalid. You might be connecting to a server that is pretending to be “a.example”', 'tls_failed'],
    ['An SSL error has occurred and a secure connection to the server cannot be made.', 'tls_failed'],
    ['A TLS error caused the secure connection to fail.', 'tls_failed'],
    ['The operation couldn’t be completed. Socket is not connected', 'network_lost'],
    ['The operation couldn’t be completed. Software caused connection abort', 'network_lost'],
    ['The operation couldn’t be completed. Connection reset by peer', 'network_lost'],
    ['received bad response code from server 503', 'refused'],
    ['The operation couldn’t be completed.', undefined],
  ],
  'iOS in Chinese': [
    ['似乎已断开与互联网的连接。', 'network_lost'],
    ['网络连接已中断。', 'network_lost'],
    ['请求超时。', 'connect_timeout'],
    ['未能找到使用指定主机名的服务器。', 'dns_failed'],
    ['未能连接到服务器。', 'refused'],
    ['此服务器的证书无效。您可能正在连接到一个伪装成“a.example”的服务器，这会威胁到您的机密信息的安全。', 'tls_failed'],
    ['发生了SSL错误，无法建立与该服务器的安全连接。', 'tls_failed'],
    ['TLS错误导致安全连接失败。', 'tls_failed'],
    ['未能完成操作。连接被拒绝', 'refused'],
    ['未能完成操作。', undefined],
  ],
  'Android and okhttp': [
    ['Unable to resolve host "a.example": No address associated with hostname', 'dns_failed'],
    ['failed to connect to a.example/1.2.3.4 (port 443) after 10000ms: isConnected failed: ECONNREFUSED (Connection refused)', 'refused'],
    ['failed to connect: isConnected failed: ENETUNREACH (Network is unreachable)', 'network_lost'],
    ['isConnected failed: EHOSTUNREACH (No route to host)', 'network_lost'],
    ['java.net.SocketTimeoutException: connect timed out', 'connect_timeout'],
    ['SSL handshake timed out', 'connect_timeout'],
    ['sent ping but did not receive pong within 10000ms', undefined],
    ['javax.net.ssl.SSLHandshakeException: Chain validation failed', 'tls_failed'],
    ['javax.net.ssl.SSLException: Read error: ssl=0xd00ba180: I/O error during system call, Software caused connection abort', 'network_lost'],
    ['Read error: ssl=0x7e80a29c00: I/O error during system call, Connection reset by peer', 'network_lost'],
    ["java.net.ProtocolException: Expected HTTP 101 response but was '403 Forbidden'", 'refused'],
    ['unexpected end of stream', 'network_lost'],
    ['CLEARTEXT communication to a.example not permitted by network security policy', undefined],
  ],
  'Chromium and Node': [
    ['net::ERR_INTERNET_DISCONNECTED', 'network_lost'],
    ['net::ERR_CONNECTION_REFUSED', 'refused'],
    ['net::ERR_CONNECTION_RESET', 'network_lost'],
    ['net::ERR_CONNECTION_ABORTED', 'network_lost'],
    ['net::ERR_ADDRESS_UNREACHABLE', 'network_lost'],
    ['net::ERR_CONNECTION_TIMED_OUT', 'connect_timeout'],
    ['net::ERR_TIMED_OUT', 'connect_timeout'],
    ['net::ERR_NAME_NOT_RESOLVED', 'dns_failed'],
    ['net::ERR_NAME_RESOLUTION_FAILED', 'dns_failed'],
    ['net::ERR_DNS_TIMED_OUT', 'dns_failed'],
    ['net::ERR_CERT_AUTHORITY_INVALID', 'tls_failed'],
    ['net::ERR_CERT_DATE_INVALID', 'tls_failed'],
    ['net::ERR_SSL_PROTOCOL_ERROR', 'tls_failed'],
    ['net::ERR_INSUFFICIENT_RESOURCES', undefined],
    ['net::ERR_CONNECTION_FAILED', undefined],
    ['net::ERR_FAILED', undefined],
    ['Error during WebSocket handshake: Unexpected response code: 404', 'refused'],
    ['Unexpected server response: 502', 'refused'],
    ['connect ECONNREFUSED 127.0.0.1:8000', 'refused'],
    ['unable to verify the first certificate', 'tls_failed'],
    ['self-signed certificate in certificate chain', 'tls_failed'],
  ],
  'what proves nothing': [
    ['', undefined],
    ['message size exceeded', undefined],
    ['the quota was exceeded', undefined],
    ['the parameter is not a string', undefined],
    ['the host does not exist', undefined],
    ['not supported', undefined],
    ['the lossless mode is off', undefined],
    ['Uncertain', undefined],
  ],
};

for (const [source, table] of Object.entries(TABLES)) {
  test(`words and causes: ${source}`, () => {
    for (const [words, cause] of table) assert.equal(causeOf(words), cause, words);
  });
}

test("the app's own address is no evidence", () => {
  const quoted: [url: string, words: string, cause: DropCause | undefined][] = [
    ['ws://mydomain.example', 'WebSocket connection to ws://mydomain.example failed', undefined],
    ['ws://mydomain.example', 'mydomain.example is not in reach', undefined],
    ['ws://certs.example', 'failed: ws://certs.example/connect?timeout=1', undefined],
    ['wss://dns.refused.example:8443/x', 'Unable to talk to dns.refused.example', undefined],
    ['wss://tls.example', 'Unable to resolve host "tls.example"', 'dns_failed'],
    ['wss://mydomain.example', 'wss://mydomain.example: url not in domain list', 'domain_not_allowed'],
  ];
  for (const [url, words, cause] of quoted) assert.equal(causeOf(words, url), cause, words);
});

test('what a host gives for an error says something, or nothing', () => {
  const said: [unknown, string][] = [
    [undefined, ''],
    [{}, ''],
    [{ errMsg: 'a' }, 'a'],
    [{ errorMessage: 'b' }, 'b'],
    [{ reason: 'c' }, 'c'],
    [{ reason: {} }, ''],
    [new Error('d'), 'd'],
    ['e', 'e'],
    [{ error: 11 }, '11'],
    [7, '7'],
  ];
  for (const [it, words] of said) assert.equal(wordsOf(it), words);
});
