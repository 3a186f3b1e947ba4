/** The only page: reads the channel with the SDK's hooks, and tells the line what Taro says of the page's life. */

import { View } from '@tarojs/components';
import { useDidHide, useDidShow } from '@tarojs/taro';
import { useState } from 'react';
import { useLineState, useSubscription } from 'tautline/react';
import { phone } from '../../line.js';

export default function Index() {
  const [count, setCount] = useState(0);
  const state = useLineState(phone.line);
  useSubscription(phone.line, phone.channel, phone.reading(() => setCount((before) => before + 1)));
  useDidShow(() => phone.shown());
  useDidHide(() => phone.hidden());
  return <View id="phone">{`${state}: ${count}`}</View>;
}
