//! What the files of the crate import from each other, outside their tests.
//!
//! A path is followed through `use` and `pub use` to the file that holds the item, so a `mod.rs` that
//! only re-exports it is no stop on the way. Items that macros make are taken to lie where the path
//! ends. Everything under `#[cfg(test)]` is left out, and nothing else.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};

use proc_macro2::{TokenStream, TokenTree};
use syn::punctuated::Punctuated;
use syn::spanned::Spanned;
use syn::visit::{self, Visit};
use syn::{Attribute, Ident, ImplItem, Item, Meta, Stmt, Token, TraitItem, UseTree};

/// An import of one file by another.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Import {
    /// The file that imports, relative to `src`.
    pub from: String,
    pub line: usize,
    /// The file that holds what is imported.
    pub to: String,
    /// The path as it is written.
    pub path: String,
    /// Files of the modules whose `use` the path goes through.
    pub through: Vec<String>,
}

/// A line of a file, and what is there.
#[derive(Debug, Clone)]
pub struct Place {
    pub file: String,
    pub line: usize,
    pub what: String,
}

/// All of the crate's code that is no test.
#[derive(Debug, Default)]
pub struct Sources {
    /// Relative to `src`.
    pub files: Vec<String>,
    pub imports: Vec<Import>,
    /// First segments of paths that lead out of the crate.
    pub crates: Vec<Place>,
    /// Items of a `mod.rs` or `lib.rs` that are no part of a table of contents.
    pub loose: Vec<Place>,
    /// Files that no `mod` leads to.
    pub unreached: Vec<String>,
}

impl Sources {
    /// Reads `lib.rs` and `main.rs` in a directory, and all that their modules lead to.
    pub fn read(root: &Path) -> Self {
        let mut tree = Tree {
            root: root.to_owned(),
            ..Tree::default()
        };
        for name in ["lib.rs", "main.rs"] {
            if root.join(name).is_file() {
                tree.load(root.join(name), None);
            }
        }
        let mut all = Vec::new();
        list(root, &mut all);
        let mut sources = Self {
            unreached: all
                .iter()
                .filter(|path| !tree.seen.contains(*path))
                .map(|path| tree.relative(path))
                .collect(),
            loose: std::mem::take(&mut tree.loose),
            ..Self::default()
        };
        for module in tree.modules.iter().filter(|module| !module.is_inline) {
            sources.files.push(module.file.clone());
        }
        sources.files.sort();
        for mention in &tree.mentions {
            tree.settle(mention, &mut sources);
        }
        sources.imports.sort();
        sources.imports.dedup();
        sources
    }
}

/// Whether a file is the table of contents of its folder.
pub fn is_contents(file: &str) -> bool {
    matches!(file.rsplit('/').next(), Some("mod.rs" | "lib.rs"))
}

fn list(directory: &Path, found: &mut Vec<PathBuf>) {
    let entries =
        fs::read_dir(directory).unwrap_or_else(|e| panic!("{}: {e}", directory.display()));
    let mut paths: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    for path in paths {
        if path.is_dir() {
            list(&path, found);
        } else if path.extension().is_some_and(|suffix| suffix == "rs") {
            found.push(path);
        }
    }
}

#[derive(Debug)]
struct Module {
    parent: Option<usize>,
    root: usize,
    file: String,
    /// Where the files of its children lie.
    directory: PathBuf,
    is_inline: bool,
    names: HashMap<String, Vec<Definition>>,
    globs: Vec<Vec<String>>,
}

#[derive(Debug)]
enum Definition {
    Module(usize),
    Item,
    Import(Vec<String>),
}

/// What a path leads to.
#[derive(Debug, Clone)]
struct Target {
    kind: TargetKind,
    through: Vec<String>,
}

#[derive(Debug, Clone)]
enum TargetKind {
    Module(usize),
    Item { file: String },
}

#[derive(Debug)]
struct Mention {
    module: usize,
    line: usize,
    path: Vec<String>,
    is_glob: bool,
}

#[derive(Debug, Default)]
struct Tree {
    root: PathBuf,
    modules: Vec<Module>,
    mentions: Vec<Mention>,
    loose: Vec<Place>,
    /// Files read, and those left out because they are tests.
    seen: Vec<PathBuf>,
}

impl Tree {
    fn relative(&self, path: &Path) -> String {
        let path = path.strip_prefix(&self.root).unwrap_or(path);
        path.to_string_lossy().into_owned()
    }

    fn load(&mut self, path: PathBuf, parent: Option<usize>) -> usize {
        let text = fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        let parsed = syn::parse_file(&text).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        let file = self.relative(&path);
        let directory = if is_contents(&file) || file == "main.rs" {
            path.parent().map(Path::to_owned).unwrap_or_default()
        } else {
            path.with_extension("")
        };
        self.seen.push(path);
        let module = self.add(parent, file.clone(), directory, false);
        if is_contents(&file) {
            self.find_loose(&file, &parsed.items);
        }
        Reader { tree: self, module }.visit_file(&parsed);
        module
    }

    fn add(
        &mut self,
        parent: Option<usize>,
        file: String,
        directory: PathBuf,
        is_inline: bool,
    ) -> usize {
        let id = self.modules.len();
        self.modules.push(Module {
            parent,
            root: parent.map_or(id, |parent| self.modules[parent].root),
            file,
            directory,
            is_inline,
            names: HashMap::new(),
            globs: Vec::new(),
        });
        id
    }

    fn find_loose(&mut self, file: &str, items: &[Item]) {
        for item in items.iter().filter(|item| !is_test(attributes(item))) {
            let what = match item {
                Item::Use(_) => continue,
                Item::Mod(module) if module.content.is_none() => continue,
                Item::Mod(module) => format!("mod {} {{ .. }}", module.ident),
                Item::Struct(item) => format!("struct {}", item.ident),
                Item::Enum(item) => format!("enum {}", item.ident),
                Item::Union(item) => format!("union {}", item.ident),
                Item::Trait(item) => format!("trait {}", item.ident),
                Item::Type(item) => format!("type {}", item.ident),
                Item::Const(item) => format!("const {}", item.ident),
                Item::Static(item) => format!("static {}", item.ident),
                Item::Fn(item) => format!("fn {}", item.sig.ident),
                Item::Impl(_) => "impl".to_owned(),
                Item::Macro(item) => format!("macro {}", text(&path_names(&item.mac.path))),
                _ => "an item".to_owned(),
            };
            self.loose.push(Place {
                file: file.to_owned(),
                line: line(item),
                what,
            });
        }
    }

    /// The file of `mod name;` in a module.
    fn file_of(&self, module: usize, name: &str) -> PathBuf {
        let directory = &self.modules[module].directory;
        let alone = directory.join(format!("{name}.rs"));
        if alone.is_file() {
            alone
        } else {
            directory.join(name).join("mod.rs")
        }
    }

    /// Notes what a mention imports.
    fn settle(&self, mention: &Mention, sources: &mut Sources) {
        let from = &self.modules[mention.module].file;
        let Some(targets) = self.resolve(mention.module, &mention.path, &mut Vec::new()) else {
            sources.crates.push(Place {
                file: from.clone(),
                line: mention.line,
                what: mention.path[0].clone(),
            });
            return;
        };
        for target in targets {
            let to = match target.kind {
                TargetKind::Item { file } => file,
                // The module is only a way to its items, which are mentioned by themselves.
                TargetKind::Module(id)
                    if !mention.is_glob
                        && !self.modules[id].is_inline
                        && is_contents(&self.modules[id].file) =>
                {
                    continue;
                }
                TargetKind::Module(id) => self.modules[id].file.clone(),
            };
            if to != *from {
                sources.imports.push(Import {
                    from: from.clone(),
                    line: mention.line,
                    to,
                    path: text(&mention.path),
                    through: target.through,
                });
            }
        }
    }

    /// All that a path may mean, or nothing if its first segment is not known here.
    fn resolve(
        &self,
        module: usize,
        path: &[String],
        asked: &mut Vec<(usize, String)>,
    ) -> Option<Vec<Target>> {
        let (first, rest) = path.split_first()?;
        let here = &self.modules[module];
        let at = |id| {
            vec![Target {
                kind: TargetKind::Module(id),
                through: Vec::new(),
            }]
        };
        let mut found = match first.as_str() {
            "crate" => at(here.root),
            // What main.rs calls the library.
            "weightfs" if here.root != 0 => at(0),
            "self" | "Self" if rest.is_empty() => return Some(Vec::new()),
            "self" => at(module),
            "super" => at(here.parent?),
            "Self" => return Some(Vec::new()),
            name => self.lookup(module, name, !rest.is_empty(), asked)?,
        };
        for (index, name) in rest.iter().enumerate() {
            let is_last = index + 1 == rest.len();
            let mut next = Vec::new();
            for target in found {
                // Of an item only the item counts, not its variant or method.
                let TargetKind::Module(id) = target.kind else {
                    next.push(target);
                    continue;
                };
                if name == "super" {
                    next.extend(self.modules[id].parent.map(at).into_iter().flatten());
                    continue;
                }
                if name == "self" {
                    next.push(target);
                    continue;
                }
                let inner = self.lookup(id, name, !is_last, asked).unwrap_or_else(|| {
                    let file = self.modules[id].file.clone();
                    vec![Target {
                        kind: TargetKind::Item { file },
                        through: Vec::new(),
                    }]
                });
                next.extend(inner.into_iter().map(|mut inner| {
                    inner.through.splice(0..0, target.through.iter().cloned());
                    inner
                }));
            }
            found = next;
        }
        Some(found)
    }

    /// What a name means in a module, or nothing if the module does not have it.
    fn lookup(
        &self,
        module: usize,
        name: &str,
        is_prefix: bool,
        asked: &mut Vec<(usize, String)>,
    ) -> Option<Vec<Target>> {
        let key = (module, name.to_owned());
        if asked.contains(&key) {
            return None;
        }
        asked.push(key);
        let found = self.lookup_new(module, name, is_prefix, asked);
        asked.pop();
        found
    }

    fn lookup_new(
        &self,
        module: usize,
        name: &str,
        is_prefix: bool,
        asked: &mut Vec<(usize, String)>,
    ) -> Option<Vec<Target>> {
        let here = &self.modules[module];
        let mut found = Vec::new();
        let definitions = here.names.get(name).map_or(&[][..], Vec::as_slice);
        for definition in definitions {
            match definition {
                Definition::Module(id) => {
                    let kind = TargetKind::Module(*id);
                    let through = Vec::new();
                    found.push(Target { kind, through });
                    if is_prefix {
                        return Some(found);
                    }
                }
                Definition::Item => {
                    let file = here.file.clone();
                    let kind = TargetKind::Item { file };
                    let through = Vec::new();
                    found.push(Target { kind, through });
                }
                Definition::Import(path) => {
                    for mut target in self.resolve(module, path, asked).unwrap_or_default() {
                        target.through.insert(0, here.file.clone());
                        found.push(target);
                    }
                }
            }
        }
        if found.is_empty() {
            for glob in &here.globs {
                for target in self.resolve(module, glob, asked).unwrap_or_default() {
                    if let TargetKind::Module(id) = target.kind {
                        found.extend(self.lookup(id, name, is_prefix, asked).unwrap_or_default());
                    }
                }
            }
        }
        (!found.is_empty()).then_some(found)
    }
}

/// Notes the names and the paths of a module.
struct Reader<'a> {
    tree: &'a mut Tree,
    module: usize,
}

impl Reader<'_> {
    fn define(&mut self, name: &Ident, definition: Definition) {
        let names = &mut self.tree.modules[self.module].names;
        names.entry(plain(name)).or_default().push(definition);
    }

    fn mention(&mut self, line: usize, path: Vec<String>, is_glob: bool) {
        self.tree.mentions.push(Mention {
            module: self.module,
            line,
            path,
            is_glob,
        });
    }

    fn visit_use(&mut self, tree: &UseTree, before: &[String]) {
        let line = line(tree);
        let path = |name: &Ident| {
            let mut path = before.to_vec();
            if name != "self" || before.is_empty() {
                path.push(plain(name));
            }
            path
        };
        match tree {
            UseTree::Path(tree_path) => self.visit_use(&tree_path.tree, &path(&tree_path.ident)),
            UseTree::Name(name) => {
                let path = path(&name.ident);
                if let Some(last) = path.last().cloned() {
                    let names = &mut self.tree.modules[self.module].names;
                    let definition = Definition::Import(path.clone());
                    names.entry(last).or_default().push(definition);
                }
                self.mention(line, path, false);
            }
            UseTree::Rename(rename) => {
                let path = path(&rename.ident);
                self.define(&rename.rename, Definition::Import(path.clone()));
                self.mention(line, path, false);
            }
            UseTree::Glob(_) => {
                self.tree.modules[self.module].globs.push(before.to_vec());
                self.mention(line, before.to_vec(), true);
            }
            UseTree::Group(group) => {
                for tree in &group.items {
                    self.visit_use(tree, before);
                }
            }
        }
    }

    fn visit_mod(&mut self, item: &syn::ItemMod) {
        let name = plain(&item.ident);
        let parent = self.module;
        let child = if let Some((_, items)) = &item.content {
            let file = self.tree.modules[parent].file.clone();
            let directory = self.tree.modules[parent].directory.join(&name);
            let child = self.tree.add(Some(parent), file, directory, true);
            self.module = child;
            for item in items {
                self.visit_item(item);
            }
            self.module = parent;
            child
        } else {
            let path = self.tree.file_of(parent, &name);
            self.tree.load(path, Some(parent))
        };
        self.define(&item.ident, Definition::Module(child));
    }

    /// Paths among the tokens of a macro, which nobody has parsed.
    fn visit_tokens(&mut self, tokens: TokenStream) {
        let mut path: Vec<String> = Vec::new();
        let mut line = 0;
        // Colons since the last name.
        let mut colons = 0;
        let mut tokens = tokens.into_iter().peekable();
        while let Some(token) = tokens.next() {
            match &token {
                TokenTree::Ident(name) => {
                    if colons != 2 {
                        path.clear();
                        line = name.span().start().line;
                    }
                    path.push(plain(name));
                    colons = 0;
                    let goes_on =
                        matches!(tokens.peek(), Some(TokenTree::Punct(p)) if p.as_char() == ':');
                    if !goes_on && path.len() > 1 {
                        self.mention(line, std::mem::take(&mut path), false);
                    }
                }
                TokenTree::Punct(punct) if punct.as_char() == ':' && !path.is_empty() => {
                    colons += 1;
                    let goes_on = matches!(tokens.peek(), Some(TokenTree::Ident(_)));
                    if colons == 2 && !goes_on && path.len() > 1 {
                        self.mention(line, std::mem::take(&mut path), false);
                    }
                }
                TokenTree::Group(group) => {
                    path.clear();
                    colons = 0;
                    self.visit_tokens(group.stream());
                }
                _ => {
                    path.clear();
                    colons = 0;
                }
            }
        }
    }
}

impl<'ast> Visit<'ast> for Reader<'_> {
    fn visit_item(&mut self, item: &'ast Item) {
        if is_test(attributes(item)) {
            if let Item::Mod(module) = item {
                let name = plain(&module.ident);
                let folder = self.tree.modules[self.module].directory.join(&name);
                if folder.is_dir() {
                    list(&folder, &mut self.tree.seen);
                }
                let path = self.tree.file_of(self.module, &name);
                self.tree.seen.push(path);
            }
            return;
        }
        match item {
            Item::Use(item) => return self.visit_use(&item.tree, &[]),
            Item::Mod(item) => return self.visit_mod(item),
            Item::Struct(item) => self.define(&item.ident, Definition::Item),
            Item::Enum(item) => self.define(&item.ident, Definition::Item),
            Item::Union(item) => self.define(&item.ident, Definition::Item),
            Item::Trait(item) => self.define(&item.ident, Definition::Item),
            Item::Type(item) => self.define(&item.ident, Definition::Item),
            Item::Const(item) => self.define(&item.ident, Definition::Item),
            Item::Static(item) => self.define(&item.ident, Definition::Item),
            Item::Fn(item) => self.define(&item.sig.ident, Definition::Item),
            Item::Macro(syn::ItemMacro {
                ident: Some(name), ..
            }) => self.define(name, Definition::Item),
            _ => {}
        }
        visit::visit_item(self, item);
    }

    fn visit_impl_item(&mut self, item: &'ast ImplItem) {
        let attributes = match item {
            ImplItem::Const(item) => &item.attrs[..],
            ImplItem::Fn(item) => &item.attrs,
            ImplItem::Type(item) => &item.attrs,
            ImplItem::Macro(item) => &item.attrs,
            _ => &[],
        };
        if !is_test(attributes) {
            visit::visit_impl_item(self, item);
        }
    }

    fn visit_trait_item(&mut self, item: &'ast TraitItem) {
        let attributes = match item {
            TraitItem::Const(item) => &item.attrs[..],
            TraitItem::Fn(item) => &item.attrs,
            TraitItem::Type(item) => &item.attrs,
            TraitItem::Macro(item) => &item.attrs,
            _ => &[],
        };
        if !is_test(attributes) {
            visit::visit_trait_item(self, item);
        }
    }

    fn visit_stmt(&mut self, statement: &'ast Stmt) {
        let attributes = match statement {
            Stmt::Local(local) => &local.attrs[..],
            Stmt::Macro(item) => &item.attrs,
            _ => &[],
        };
        if !is_test(attributes) {
            visit::visit_stmt(self, statement);
        }
    }

    fn visit_field(&mut self, field: &'ast syn::Field) {
        if !is_test(&field.attrs) {
            visit::visit_field(self, field);
        }
    }

    fn visit_field_value(&mut self, field: &'ast syn::FieldValue) {
        if !is_test(&field.attrs) {
            visit::visit_field_value(self, field);
        }
    }

    fn visit_variant(&mut self, variant: &'ast syn::Variant) {
        if !is_test(&variant.attrs) {
            visit::visit_variant(self, variant);
        }
    }

    fn visit_arm(&mut self, arm: &'ast syn::Arm) {
        if !is_test(&arm.attrs) {
            visit::visit_arm(self, arm);
        }
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        let names = path_names(path);
        if names.len() > 1 {
            self.mention(line(path), names, false);
        }
        visit::visit_path(self, path);
    }

    fn visit_macro(&mut self, call: &'ast syn::Macro) {
        self.visit_path(&call.path);
        self.visit_tokens(call.tokens.clone());
    }

    // Neither imports anything.
    fn visit_attribute(&mut self, _: &'ast Attribute) {}
    fn visit_vis_restricted(&mut self, _: &'ast syn::VisRestricted) {}
}

/// Whether attributes leave something to tests alone.
fn is_test(attributes: &[Attribute]) -> bool {
    attributes.iter().any(|attribute| match &attribute.meta {
        Meta::List(list) if list.path.is_ident("cfg") => list
            .parse_args::<Meta>()
            .is_ok_and(|meta| wants_test(&meta)),
        Meta::Path(path) => path.is_ident("test"),
        _ => false,
    })
}

/// Whether a condition holds in tests only.
fn wants_test(condition: &Meta) -> bool {
    match condition {
        Meta::Path(path) => path.is_ident("test"),
        Meta::List(list) => {
            let parse = Punctuated::<Meta, Token![,]>::parse_terminated;
            let Ok(parts) = list.parse_args_with(parse) else {
                return false;
            };
            if list.path.is_ident("all") {
                parts.iter().any(wants_test)
            } else {
                list.path.is_ident("any") && parts.iter().all(wants_test)
            }
        }
        Meta::NameValue(_) => false,
    }
}

fn attributes(item: &Item) -> &[Attribute] {
    match item {
        Item::Const(item) => &item.attrs,
        Item::Enum(item) => &item.attrs,
        Item::ExternCrate(item) => &item.attrs,
        Item::Fn(item) => &item.attrs,
        Item::ForeignMod(item) => &item.attrs,
        Item::Impl(item) => &item.attrs,
        Item::Macro(item) => &item.attrs,
        Item::Mod(item) => &item.attrs,
        Item::Static(item) => &item.attrs,
        Item::Struct(item) => &item.attrs,
        Item::Trait(item) => &item.attrs,
        Item::Type(item) => &item.attrs,
        Item::Union(item) => &item.attrs,
        Item::Use(item) => &item.attrs,
        _ => &[],
    }
}

fn path_names(path: &syn::Path) -> Vec<String> {
    path.segments
        .iter()
        .map(|part| plain(&part.ident))
        .collect()
}

fn plain(name: &Ident) -> String {
    let name = name.to_string();
    name.strip_prefix("r#").map(str::to_owned).unwrap_or(name)
}

fn text(path: &[String]) -> String {
    path.join("::")
}

fn line(at: &impl Spanned) -> usize {
    at.span().start().line
}
