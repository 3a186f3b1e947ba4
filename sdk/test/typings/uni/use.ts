// An app of uni-app, under its own typings.

import { Tautline, frameworkHost } from 'tautline';
import { useLineState, useSubscription } from 'tautline/vue';
import { lineMixin } from 'tautline/vue2';

const line = new Tautline({ url: 'wss://a.example/connect', host: frameworkHost(uni) });
const state = useLineState(line);
useSubscription(line, 'news', { onPublication: ({ data }) => uni.showToast({ title: `${state.value}: ${data}` }) });

declare function onShow(hook: (options?: object) => void, target?: object | null): void;
useSubscription(line, 'news', {}, { while: 'shown', hooks: [onShow, onShow] });
export default { mixins: [lineMixin(() => line)] };
