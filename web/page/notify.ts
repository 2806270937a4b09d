/**
 * The browser's notifications of sessions that wait for their user.
 *
 * They show only while nobody looks at the page. The user allows them with a button.
 *
 * @module
 */
import type { Row } from "../../views/row.ts";

const shown = new Map<string, Notification>();

/** Shows the button while there is something to ask for. */
export function offerNotifications(
  button: HTMLElement,
  onRefused: (text: string) => void,
): void {
  const isOpen = "Notification" in globalThis;
  button.hidden = !isOpen || Notification.permission !== "default";
  button.onclick = async () => {
    const permission = await Notification.requestPermission();
    button.hidden = permission !== "default";
    if (permission === "denied") {
      onRefused("This browser allows the page no notifications.");
    }
  };
}

/** Tells that the session waits for its user, if nobody looks. */
export function notify(row: Row): void {
  if (!("Notification" in globalThis) || document.hasFocus()) return;
  if (Notification.permission !== "granted") return;
  try {
    const notification = new Notification(`${row.id} is blocked`, {
      body: row.message ?? row.text,
      icon: "icon.svg",
      // The same in each tab: the browser shows it once.
      tag: `${row.id} ${row.born}`,
    });
    notification.onclick = () => {
      focus();
      location.hash = `#/${row.id}`;
      notification.close();
    };
    shown.set(row.id, notification);
  } catch {
    // Chrome on Android has them for service workers only.
  }
}

/** Takes the notification back: the session goes on, or the user is here. */
export function forgetNotification(id: string): void {
  shown.get(id)?.close();
  shown.delete(id);
}
