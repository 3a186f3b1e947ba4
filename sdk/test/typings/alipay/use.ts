// An app for Alipay, under the vendor's own typings.

import { Tautline, alipayHost } from 'tautline/alipay';
import WebsocketHeartbeat from 'tautline/heartbeat';

const line = new Tautline({
  url: 'wss://a.example/connect',
  host: alipayHost(my),
  auth: () =>
    new Promise((resolve, reject) =>
      my.getAuthCode({ success: ({ authCode }) => resolve({ code: authCode, provider: 'alipay' }), fail: reject }),
    ),
});
line.subscribe('news', { onPublication: ({ data }) => my.alert({ content: String(data) }) });
WebsocketHeartbeat({ miniprogram: my, connectSocketParams: { url: 'wss://a.example' } });
