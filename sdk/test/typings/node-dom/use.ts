// Browsers and Node, under the compiler's and the package `ws`' own typings.

import { WebSocket as Ws } from 'ws';
import { Tautline, browserHost, nodeHost } from 'tautline';
import { Tautline as Only } from 'tautline/browser';

new Tautline({ url: 'wss://a.example/connect', host: browserHost(window) });
new Tautline({ url: 'wss://a.example/connect', host: browserHost({ WebSocket }) });
new Only({ url: 'wss://a.example/connect', host: nodeHost(Ws) });
