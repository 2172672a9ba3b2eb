//! The last line, and the pages that cover the view.

use super::canvas::Canvas;
use crate::cli::top::live::scene::{InputMode, PageShown, Scene};

/// The keys that matter most, the first ones where there is little room.
const KEYS: [(&str, &str); 14] = [
    ("l", "logs"),
    ("e", "events"),
    ("d", "describe"),
    ("x", "shell"),
    ("r", "restart"),
    ("S", "scale"),
    ("?", "help"),
    ("q", "quit"),
    ("/", "filter"),
    ("K", "kill"),
    ("p", "promote"),
    ("u", "undo"),
    ("z", "pause"),
    ("s", "slow"),
];

/// What every key does.
pub(in crate::cli::top::live) const HELP: &str = "\
up, down, j, k     choose a workload or pet; Tab goes from one to its pets, and back
PgUp, PgDn, g, G   ten up or down, the first, the last
l                  its log
e                  its events
d                  describe it
x                  open a shell in the pet; the view comes back when that ends
r                  restart it: a pet, or all pets of a workload one after the other
K                  kill the pet's main process, as a crash would
S                  scale the workload
p                  promote canaries: the new template for all pets
u                  undo: the template before
z                  pause the rollout, or resume it
+, -               show more or less time
s                  slow: show each step for a second
/                  show only what contains some text; Esc shows all
?, h               this page
q, Ctrl-C          quit; Ctrl-Z stops the view until fg

What changes something asks first, and is what the verb does.

*  ● ready            ~  ◐ starts             o  ○ was ready before
X  ✖ fails            -  ◌ stops              +  ✔ has ended well
The time line has a thick stroke for ready, a thin one for starting, dots for not ready.
In a rollout the old revision comes first, with the pets that have it, then the new one.
CPU is in thousandths of a processor. MEM is the pet's share of memory (PSS). R counts restarts.
";

/// Draws the last line: a question, what a verb has said, or keys.
pub(super) fn footer(scene: &Scene, canvas: &mut Canvas<'_>, y: u16) {
    let (bold, bar) = (canvas.bold(), canvas.bar());
    match &scene.mode {
        InputMode::Filter => drop(canvas.put(0, y, &format!("filter: {}_", scene.filter), bold)),
        InputMode::Scale { name, typed, .. } => {
            let text = format!("scale {name} to: {typed}_  (Enter does it, Esc does not)");
            canvas.put(0, y, &text, bold);
        }
        InputMode::Ask { words, .. } => {
            canvas.put(0, y, &format!("petset {}?  y / n", words.join(" ")), bold);
        }
        InputMode::Watch | InputMode::Page(_) => match &scene.answer {
            Some((true, text)) => drop(canvas.put(0, y, text, canvas.good())),
            Some((false, text)) => drop(canvas.put(0, y, text, canvas.warning(true))),
            None => {
                let mut x = 0;
                for (key, word) in KEYS {
                    let length = canvas.length(key) + canvas.length(word) + 3;
                    if x + length > canvas.width() {
                        break;
                    }
                    x = canvas.put(x, y, &format!(" {key} "), bar);
                    x = canvas.put(x, y, word, canvas.plain()) + 1;
                }
            }
        },
    }
}

/// Draws a page that covers the view.
pub(super) fn draw(page: &PageShown, canvas: &mut Canvas<'_>) {
    let bar = canvas.bar();
    canvas.fill(0, bar);
    let room = usize::from(canvas.height() - 2);
    let first = first_line(page, room);
    let last = (first + room).min(page.lines.len());
    canvas.put(0, 0, &format!(" {}", page.title), bar);
    let place = format!("{last} of {} lines ", page.lines.len());
    let x = canvas.width().saturating_sub(canvas.length(&place));
    canvas.put(x, 0, &place, bar);
    for (y, line) in (1..).zip(&page.lines[first..last]) {
        canvas.put(0, y, line, canvas.plain());
    }
    let faint = canvas.faint();
    let y = canvas.height() - 1;
    canvas.put(
        0,
        y,
        "up, down, PgUp, PgDn, g, G: move   q, Esc: back",
        faint,
    );
}

/// Returns the first line of a page that is shown.
pub(in crate::cli::top::live) fn first_line(page: &PageShown, room: usize) -> usize {
    let last = page.lines.len().saturating_sub(room);
    page.top.map_or(last, |top| top.min(last))
}
