//! However a manifest is mangled, it is read or refused, and petset lives on.

use proptest::prelude::*;

use super::{WEB, load_text};
use crate::mangling::read_mangled;

/// A text that has most of what YAML can do.
const RICH: &str = "\
# comment
base: &base {a: [1, 0x1f, ~, yes], \"b\\u00e9\": 'it''s'}
<<: *base
apiVersion: apps/v1alpha1
kind: PetSet
metadata: {name: web, annotations: {pod.alpha.kubernetes.io/initialized: \"true\"}}
spec:
  template: !!map
    metadata:
      labels: {app: web}
      annotations:
        pod.beta.kubernetes.io/init-containers: '[{\"name\": \"i\",
          \"image\": \"x\"}]'
    spec:
      containers:
      - {name: c, image: i, args: [\"a\\
          b\"], resources: {limits: {cpu: 1e3m}}}
      - name: d
        command:
        - |
          text
            more
        - >-
          folded
          text
        - ? x
          : y
---
{\"json\": [true, null, -1.5e3]}
...
%YAML 1.1
---
a: !custom b
";

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(2_000) })]

    #[test]
    fn any_text_is_read_or_refused(text in "\\PC{0,60}|[-:{}\\[\\]&*!|>'\"%@`#,? \\t\\r\\na-c0-9]{0,80}") {
        let _ = load_text(&text);
    }

    #[test]
    fn any_slip_in_a_manifest_is_read_or_refused(
        rich in any::<bool>(),
        at in any::<prop::sample::Index>(),
        length in 0_usize..12,
        put in "\\PC{0,4}|[-:{}\\[\\]&*!|>'\"%#,? \\t\\n]{0,4}",
    ) {
        let text = if rich { RICH } else { WEB };
        let letters: Vec<char> = text.chars().collect();
        let start = at.index(letters.len());
        let end = (start + length).min(letters.len());
        let before = letters[..start].iter();
        let mangled: String = before.copied().chain(put.chars()).chain(letters[end..].iter().copied()).collect();
        let _ = load_text(&mangled);
    }
}

#[test]
fn any_mangled_manifest_is_read_or_refused() {
    let json = r#"{"apiVersion": "v1", "kind": "Service", "metadata": {"name": "web"},
        "spec": {"ports": [{"port": 80, "targetPort": "http"}], "selector": {"app": "w"}}}"#;
    let examples: [&[u8]; 3] = [RICH.as_bytes(), WEB.as_bytes(), json.as_bytes()];
    read_mangled("manifests", 1_000, &examples, &mut |bytes| {
        let _ = load_text(&String::from_utf8_lossy(bytes));
    });
}
