// Written by `manage.py close_codes` from tidewire/close_codes.py.
export const FINAL_RANGES = [[3500, 3999], [4500, 4999]];
export const CLOSE_CODES = {
  4000: "this node is being drained; reconnect to another",
  4001: "the client read too slowly; reconnect and resume",
  4002: "too many messages a second; reconnect later",
  4003: "the server failed; reconnect",
  4004: "this node has as many connections as it may have; reconnect to another",
  4005: "the session must be checked again; reconnect",
  4006: "this user has too many connections; reconnect later, or close some",
  4500: "log in first",
  4501: "the session has ended",
  4503: "this user may not subscribe to this topic",
  4504: "there is no such topic",
  4506: "the client sent messages that could not be read",
  4507: "the client sent a message that is larger than it may be",
};
