//! Commands of petset in a terminal of their own.

use std::io::{Read, Write};
use std::process::{Command, Stdio};

use super::Sandbox;

/// Runs a command of petset in a terminal of its own. Whenever the text is shown that is waited
/// for, the keys beside it are pressed. Returns what is shown, and the exit code.
pub(crate) fn typed(sandbox: &Sandbox, words: &str, keys: &[(&str, &[u8])]) -> (String, i32) {
    let petset = env!("CARGO_BIN_EXE_petset");
    typed_to(sandbox, &format!("exec {petset} {words}"), keys)
}

/// Does the same with a line of the shell.
pub(crate) fn typed_to(sandbox: &Sandbox, line: &str, keys: &[(&str, &[u8])]) -> (String, i32) {
    let line = format!("stty rows 33 cols 77; {line}");
    let mut command = Command::new("timeout");
    sandbox.place(&mut command);
    command.args(["30", "script", "-qec", &line, "/dev/null"]);
    command.stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let (mut stdin, mut stdout) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
    let (mut shown, mut keys) = (Vec::new(), keys.iter());
    let mut next = keys.next();
    let mut buffer = [0; 4096];
    while let Ok(length @ 1..) = stdout.read(&mut buffer) {
        shown.extend_from_slice(&buffer[..length]);
        while let Some((text, pressed)) = next {
            if !String::from_utf8_lossy(&shown).contains(text) {
                break;
            }
            stdin.write_all(pressed).unwrap();
            next = keys.next();
        }
    }
    let code = child.wait().unwrap().code().unwrap_or(-1);
    (String::from_utf8_lossy(&shown).replace('\r', ""), code)
}
