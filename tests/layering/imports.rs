//! Resolves paths to the files that declare what they name.

use std::collections::{BTreeMap, BTreeSet};

use crate::parse::{Names, Use};

/// So many names may lead to one another before a path counts as one of another crate.
const LONGEST_CHAIN: usize = 32;

/// The modules of a crate by their paths, such as `cli::get`; the root is the empty one.
pub(crate) struct Crate {
    modules: BTreeMap<String, Module>,
}

struct Module {
    file: String,
    names: Names,
}

/// A name that one file takes from another.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Import {
    pub(crate) from: String,
    pub(crate) to: String,
    pub(crate) name: String,
    /// Whether it is only passed on by `pub use`, and not used in the file itself.
    pub(crate) passed_on: bool,
}

/// What a path leads to.
#[derive(Debug, PartialEq, Eq)]
enum Target {
    Module(String),
    Item { file: String, name: String },
    OtherCrate,
}

impl Crate {
    /// Reads the files of a crate: their paths below `src`, and their code.
    pub(crate) fn of(sources: &BTreeMap<String, String>) -> Self {
        let module = |(file, code): (&String, &String)| {
            let names = Names::of(code);
            let file = file.clone();
            (module_of(&file), Module { file, names })
        };
        let modules = sources.iter().filter(|(file, _)| *file != "main.rs");
        Self {
            modules: modules.map(module).collect(),
        }
    }

    /// Lists the files, each with what it says about names.
    pub(crate) fn files(&self) -> impl Iterator<Item = (&str, &Names)> {
        let modules = self.modules.values();
        modules.map(|module| (module.file.as_str(), &module.names))
    }

    /// Lists what each file takes from others.
    pub(crate) fn imports(&self) -> BTreeSet<Import> {
        let mut found = BTreeSet::new();
        for (at, module) in &self.modules {
            for used in &module.names.uses {
                if used.name == "*" {
                    self.read_glob(at, used, &mut found);
                } else {
                    let passed_on = used.public && !module.names.words.contains(&used.name);
                    self.read_path(at, &used.path, passed_on, &mut found);
                }
            }
            for path in &module.names.paths {
                self.read_path(at, path, false, &mut found);
            }
        }
        found
    }

    fn read_path(&self, at: &str, path: &[String], passed_on: bool, found: &mut BTreeSet<Import>) {
        let from = &self.modules[at].file;
        match self.resolve(at, path, 0) {
            Target::Item { file, name } if file != *from => {
                found.insert(Import {
                    from: from.clone(),
                    to: file,
                    name,
                    passed_on,
                });
            }
            Target::Item { .. } | Target::Module(_) | Target::OtherCrate => {}
        }
    }

    /// Lists the words of a file that a glob stands for.
    fn read_glob(&self, at: &str, glob: &Use, found: &mut BTreeSet<Import>) {
        let Target::Module(module) = self.resolve(at, &glob.path, 0) else {
            return self.read_path(at, &glob.path, false, found);
        };
        let names = &self.modules[at].names;
        let bound: BTreeSet<_> = names.uses.iter().map(|used| &used.name).collect();
        let open = names.words.difference(&names.declared);
        for word in open.filter(|word| !bound.contains(word)) {
            if self.step(&module, std::slice::from_ref(word), 0).is_some() {
                let path = [glob.path.as_slice(), std::slice::from_ref(word)].concat();
                self.read_path(at, &path, false, found);
            }
        }
    }

    /// Follows a path from a module.
    fn resolve(&self, at: &str, path: &[String], chain: usize) -> Target {
        match path.first().map_or("", String::as_str) {
            "crate" => self.descend("", &path[1..], chain),
            "self" => self.descend(at, &path[1..], chain),
            "super" => {
                let rises = path.iter().take_while(|word| *word == "super").count();
                let base = (0..rises).fold(at, |base, _| parent_of(base));
                self.descend(base, &path[rises..], chain)
            }
            _ => self.step(at, path, chain).unwrap_or(Target::OtherCrate),
        }
    }

    /// Follows a path inside a module; what cannot be found there is taken as made by a macro.
    fn descend(&self, at: &str, path: &[String], chain: usize) -> Target {
        let Some(name) = path.first() else {
            return Target::Module(at.to_owned());
        };
        let found = self.step(at, path, chain);
        found.unwrap_or_else(|| self.item(at, name))
    }

    /// Follows a path whose first word may be a name of the module; `None` when it is not.
    ///
    /// A word with others behind it is a module or a type, the last one anything.
    fn step(&self, at: &str, path: &[String], chain: usize) -> Option<Target> {
        let (name, rest) = path.split_first()?;
        let names = &self.modules[at].names;
        let child = child_of(at, name);
        let is_child = self.modules.contains_key(&child);
        if is_child && !rest.is_empty() {
            return Some(self.descend(&child, rest, chain));
        }
        if rest.is_empty() && names.declared.contains(name) {
            return Some(self.item(at, name));
        }
        let used = names.uses.iter().find(|used| used.name == *name);
        if let Some(used) = used.filter(|_| chain < LONGEST_CHAIN) {
            let path = [used.path.as_slice(), rest].concat();
            return Some(self.resolve(at, &path, chain + 1));
        }
        if is_child {
            return Some(Target::Module(child));
        }
        if names.declared.contains(name) {
            return Some(self.item(at, name));
        }
        self.step_through_globs(at, path, chain)
    }

    fn step_through_globs(&self, at: &str, path: &[String], chain: usize) -> Option<Target> {
        let globs = self.modules[at].names.uses.iter();
        let mut globs = globs.filter(|used| used.name == "*" && chain < LONGEST_CHAIN);
        globs.find_map(|glob| match self.resolve(at, &glob.path, chain + 1) {
            Target::Module(module) if module != at => self.step(&module, path, chain + 1),
            Target::Module(_) | Target::Item { .. } | Target::OtherCrate => None,
        })
    }

    fn item(&self, at: &str, name: &str) -> Target {
        Target::Item {
            file: self.modules[at].file.clone(),
            name: name.to_owned(),
        }
    }
}

/// Returns the module of a file: `cli::get` of `cli/get.rs` and of `cli/get/mod.rs`.
fn module_of(file: &str) -> String {
    let path = file.strip_suffix(".rs").unwrap_or(file);
    let path = path.strip_suffix("/mod").unwrap_or(path);
    if path == "lib" {
        return String::new();
    }
    path.replace('/', "::")
}

fn child_of(module: &str, name: &str) -> String {
    if module.is_empty() {
        return name.to_owned();
    }
    format!("{module}::{name}")
}

fn parent_of(module: &str) -> &str {
    module.rsplit_once("::").map_or("", |(above, _)| above)
}
