// An app of React Native, under its own typings.

import { AppState } from 'react-native';
import { Tautline, reactNativeHost } from 'tautline/react-native';
import { useSubscription } from 'tautline/react';

/** As `@react-native-community/netinfo` has it. */
declare const NetInfo: {
  addEventListener(listener: (state: { type: string; isConnected: boolean | null; details: object | null }) => void): () => void;
};

const line = new Tautline({ url: 'wss://a.example/connect', host: reactNativeHost({ AppState, NetInfo, WebSocket }) });
useSubscription(line, 'news', { onPublication: ({ data }) => data }, { while: 'shown', shown: AppState.currentState === 'active' });
