// Who sits here: the token, kept for this tab only, and what its roles may do.

const TOKEN = "sentinel.token";

let me = null;

export const token = () => sessionStorage.getItem(TOKEN);

export function setToken(text) {
  me = null;
  sessionStorage.setItem(TOKEN, text);
}

export function forget() {
  me = null;
  sessionStorage.removeItem(TOKEN);
}

export function setMe(answer) {
  me = answer;
}

export const whoami = () => me;

/** Whether the roles allow all of it. */
export function may(...permissions) {
  return me !== null && permissions.every((permission) => me.permissions.includes(permission));
}
