/** Puts the pages into their place. */

import { mount } from 'svelte';
import './css/tokens.css';
import './css/base.css';
import './css/shell.css';
import './css/parts.css';
import './css/overview.css';
import './css/lists.css';
import './css/screens.css';
import './css/phone.css';
import App from './App.svelte';

mount(App, { target: document.getElementById('app')! });
