# What the scripts of the catalogue share; $user is the image's user. With isolation, the image's
# paths are where it has them, and root can become that user; without, they lie below the pet's
# own directory, and everything is the user's who started petset.
root=; inside=1
if [ "${PETSET_ISOLATION-}" != full ]; then root=$PWD; inside=; fi
drops() { [ -n "$inside" ] && [ -n "$user" ] && [ "$(id -u)" = 0 ] && id -u "$user" >/dev/null 2>&1; }
give() { if drops; then chown -R "$user:" "$@"; fi; }
own() {
  if drops; then
    HOME=$(getent passwd "$user" | cut -d: -f6) setpriv --reuid="$user" --regid="$(id -g "$user")" --init-groups "$@"
  else
    "$@"
  fi
}
become() {
  if drops; then
    HOME=$(getent passwd "$user" | cut -d: -f6)
    export HOME
    exec setpriv --reuid="$user" --regid="$(id -g "$user")" --init-groups "$@"
  fi
  exec "$@"
}
first() { for name; do if command -v "$name" >/dev/null; then echo "$name"; return; fi; done; echo "$1"; }
# Sets a variable from the file that NAME_FILE names, and exports it.
from_file() {
  eval "path=\${${1}_FILE-}"
  if [ -n "$path" ]; then eval "$1=\$(cat \"\$path\")"; fi
  eval "if [ -n \"\${$1+set}\" ]; then export $1; fi"
}
refuse() { echo "petset: $*" >&2; exit 1; }
mounted() { grep -q " $1 " /proc/self/mountinfo; }
