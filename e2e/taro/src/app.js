/** The app: nothing but its page. */

export default function App({ children }) {
  return children;
}
