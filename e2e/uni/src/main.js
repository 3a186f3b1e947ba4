/** Starts the app, in the form that uni-app asks for. */

import { createSSRApp } from 'vue';
import App from './App.vue';

export function createApp() {
  return { app: createSSRApp(App) };
}
