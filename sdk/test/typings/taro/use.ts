// An app of Taro, under its own typings.

import Taro from '@tarojs/taro';
import { Tautline, frameworkHost } from 'tautline';
import WebsocketHeartbeat from 'tautline/heartbeat';
import { useLineEvent, useLineState, useSubscription } from 'tautline/react';

const line = new Tautline({ url: 'wss://a.example/connect', host: frameworkHost(Taro) });

export function useNews(): string {
  useSubscription(line, 'news', { onPublication: ({ data }) => void Taro.showToast({ title: String(data) }) });
  useLineEvent(line, 'drop', ({ cause }) => console.log(cause));
  return useLineState(line);
}

WebsocketHeartbeat({ miniprogram: Taro, connectSocketParams: { url: 'wss://a.example' } });
