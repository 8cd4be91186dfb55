use std::marker::PhantomData;
use std::mem;
use std::ptr;
use std::sync::Arc;

use plugbay_interface::abi::InstanceBox;
use plugbay_interface::manifest::PluginId;

use super::{CountedLease, Lease};
use crate::activate::Active;
use crate::records::{self, Entry};

impl<'a> Lease<'a> {
    #[inline(always)]
    pub(super) fn new(active: &'a Active, entry: &'static Entry) -> Self {
        Self { active, entry, on_this_thread: PhantomData }
    }

    #[inline(always)]
    pub(crate) fn active(&self) -> &'a Active {
        self.active
    }

    /// The plugin's value.
    #[inline(always)]
    pub(crate) fn instance(&self) -> Option<&InstanceBox> {
        // SAFETY: borrowed from this lease.
        unsafe { self.active.instance() }
    }

    /// The lease as a word, to be given back with [`give_back`](Self::give_back).
    pub(crate) fn into_token(self) -> usize {
        let token = ptr::from_ref(self.entry).expose_provenance();
        mem::forget(self);
        token
    }

    /// Gives back a lease that was made a word.
    ///
    /// # Safety
    ///
    /// On the thread of `into_token`, which gave this word; once.
    pub(crate) unsafe fn give_back(token: usize) {
        // SAFETY: the caller's promise: the entry is there until its mark is free.
        unsafe { &*ptr::with_exposed_provenance::<Entry>(token) }.mark.release();
    }

    /// Says what it is for.
    pub(crate) fn note(&self, command: &str) {
        let commands = &self.active.about.manifest.commands;
        if let Some((command, _)) = commands.get_key_value(command) {
            self.entry.note(command);
        }
    }

    /// Says that it is for telling the plugin of services.
    pub(crate) fn note_told(&self) {
        self.entry.note(&records::TOLD);
    }

    /// Says that it is for giving the plugin a configuration.
    pub(crate) fn note_configured(&self) {
        self.entry.note(&records::CONFIGURED);
    }

    /// Takes a note back.
    pub(crate) fn clear_note(&self) {
        self.entry.clear_note();
    }
}

impl Drop for Lease<'_> {
    #[inline(always)]
    fn drop(&mut self) {
        self.entry.mark.release();
    }
}

impl CountedLease {
    pub(super) fn new(active: Arc<Active>, plugin: Option<Arc<PluginId>>) -> Self {
        Self { place: active.counted.add(plugin), active }
    }

    pub(crate) fn active(&self) -> &Active {
        &self.active
    }

    /// The plugin's value.
    pub(crate) fn instance(&self) -> Option<&InstanceBox> {
        // SAFETY: borrowed from this lease.
        unsafe { self.active.instance() }
    }
}

impl Drop for CountedLease {
    fn drop(&mut self) {
        self.active.counted.remove(&self.place);
    }
}
