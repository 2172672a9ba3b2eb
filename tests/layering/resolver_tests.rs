//! The resolver on small crates.

use std::collections::BTreeMap;

use crate::circles::circles;
use crate::imports::Crate;
use crate::parse::Names;
use crate::text::code_of;

/// Lists the imports of a crate, of which each file is given by its path and its text.
fn imports(files: &[(&str, &str)]) -> Vec<String> {
    let imports = read(files).imports().into_iter();
    imports
        .map(|import| {
            let passed_on = if import.passed_on { " (passed on)" } else { "" };
            format!(
                "{} -> {}: {}{passed_on}",
                import.from, import.to, import.name
            )
        })
        .collect()
}

fn read(files: &[(&str, &str)]) -> Crate {
    let file = |(path, text): &(&str, &str)| ((*path).to_owned(), code_of(text));
    Crate::of(&files.iter().map(file).collect::<BTreeMap<_, _>>())
}

const B: (&str, &str) = (
    "b.rs",
    "pub struct Item; pub fn make() {} pub enum Kind { A }",
);
const LIB: (&str, &str) = ("lib.rs", "mod a; mod b;");

fn imports_of_a(text: &str) -> Vec<String> {
    imports(&[LIB, ("a.rs", text), B])
}

#[test]
fn a_circle_is_found_with_its_ties() {
    let files = [
        LIB,
        ("a.rs", "use crate::b::Item; pub struct Other;"),
        ("b.rs", "pub struct Item; fn f() -> super::c::Third {}"),
        ("c.rs", "use crate::a::Other; pub struct Third;"),
        ("d.rs", "use crate::a::Other;"),
    ];
    let told = "circle of 3: a.rs b.rs c.rs\n  \
        a.rs -> b.rs: Item\n  b.rs -> c.rs: Third\n  c.rs -> a.rs: Other";
    assert_eq!(circles(&read(&files).imports()), [told]);
}

#[test]
fn files_that_import_one_way_are_no_circle() {
    let files = [LIB, ("a.rs", "use crate::b::Item;"), B];
    assert_eq!(circles(&read(&files).imports()), [""; 0]);
}

#[test]
fn nested_groups_and_other_names_are_read() {
    let text = "use crate::{b::{Item as Thing, Kind::{A, self}}}; use std::{fmt, b::Item};";
    assert_eq!(
        imports_of_a(text),
        ["a.rs -> b.rs: Item", "a.rs -> b.rs: Kind"]
    );
    assert_eq!(
        imports_of_a("use super::{b::{self, make}};"),
        ["a.rs -> b.rs: make"]
    );
}

#[test]
fn paths_in_code_are_followed() {
    assert_eq!(
        imports_of_a("fn f() { crate::b::make(); }"),
        ["a.rs -> b.rs: make"]
    );
    assert_eq!(
        imports_of_a("fn f(x: super::b::Item) {}"),
        ["a.rs -> b.rs: Item"]
    );
    assert_eq!(
        imports_of_a("use crate::b as c; fn f() { c::Kind::A; }"),
        ["a.rs -> b.rs: Kind"]
    );
    assert_eq!(imports_of_a("use crate::b;"), [""; 0]);
}

#[test]
fn a_glob_stands_for_the_names_that_are_used() {
    let text = "use crate::b::*; fn f() { make(); Kind::A; other.Item; let x: Vec<u8>; }";
    assert_eq!(
        imports_of_a(text),
        ["a.rs -> b.rs: Kind", "a.rs -> b.rs: make"]
    );
    assert_eq!(
        imports_of_a("use crate::b::*; struct Item; fn make() { Item; }"),
        [""; 0]
    );
}

#[test]
fn a_re_export_is_followed_and_passed_on() {
    let inner = ("house/inner.rs", "pub struct Item; pub struct Hidden;");
    let outer = (
        "house/mod.rs",
        "mod inner; pub(crate) use inner::Item as Thing;",
    );
    let user = ("user.rs", "use crate::house::Thing;");
    assert_eq!(
        imports(&[("lib.rs", ""), inner, outer, user]),
        [
            "house/mod.rs -> house/inner.rs: Item (passed on)",
            "user.rs -> house/inner.rs: Item"
        ]
    );
}

#[test]
fn code_of_a_module_that_uses_its_re_export_imports_it() {
    let inner = (
        "house/inner.rs",
        "pub struct Item; fn f() { super::open(); }",
    );
    let outer = (
        "house/mod.rs",
        "pub use inner::Item; pub fn open() -> Item {}",
    );
    assert_eq!(
        imports(&[("lib.rs", ""), inner, outer]),
        [
            "house/inner.rs -> house/mod.rs: open",
            "house/mod.rs -> house/inner.rs: Item"
        ]
    );
}

#[test]
fn a_module_and_a_function_of_one_name_are_told_apart() {
    let outer = ("house/mod.rs", "mod roll; pub use roll::roll;");
    let inner = ("house/roll.rs", "pub fn roll() {} pub const LIMIT: u8 = 1;");
    let user = (
        "user.rs",
        "use crate::house::roll; fn f() { roll(); roll::LIMIT; }",
    );
    assert_eq!(
        imports(&[("lib.rs", ""), inner, outer, user])[1..],
        [
            "user.rs -> house/roll.rs: LIMIT",
            "user.rs -> house/roll.rs: roll"
        ]
    );
}

#[test]
fn what_a_macro_declares_belongs_to_the_file_of_the_module() {
    let made = ("made.rs", "name! { SetName }");
    let user = ("user.rs", "use crate::made::SetName;");
    let told = ["user.rs -> made.rs: SetName"];
    assert_eq!(
        imports(&[("lib.rs", "pub use made::SetName;"), made, user])[1..],
        told
    );
}

#[test]
fn tests_comments_and_literals_are_no_code() {
    let text = r##"
        // crate::b::Item
        #[cfg(test)]
        use crate::b::{Item, make};
        fn f<'a>(x: &'a str) -> char { "crate::b::make()"; r#"" crate::b::make"#; '"' }
        /* crate::b::Kind /* nested */ crate::b::Kind */
        #[cfg(test)]
        mod tests { fn f() { crate::b::make(); } }
        fn g() { '\''; crate::b::Kind::A; }
    "##;
    assert_eq!(imports_of_a(text), ["a.rs -> b.rs: Kind"]);
}

#[test]
fn types_are_listed_but_not_associated_ones() {
    let names = Names::of(
        "pub struct A<T>; enum B {} impl C for A { type Item = B; } trait D { type E; } \
         type F = A; fn f() { struct Local; } macro_rules! m { () => { struct $name; } }",
    );
    let types: Vec<_> = names.types.iter().map(String::as_str).collect();
    assert_eq!(types, ["A", "B", "D", "F", "Local"]);
}
