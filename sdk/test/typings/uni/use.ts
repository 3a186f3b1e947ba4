// An app of uni-app, under its own typings.

import { Tautline, frameworkHost } from 'tautline';
import { useLineState, useSubscription } from 'tautline/vue';

const line = new Tautline({ url: 'wss://a.example/connect', host: frameworkHost(uni) });
const state = useLineState(line);
useSubscription(line, 'news', { onPublication: ({ data }) => uni.showToast({ title: `${state.value}: ${data}` }) });
